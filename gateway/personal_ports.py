"""Listens on the ports that are users' own (``users[].port``), and follows the config file.

For clients that take nothing but host and port. Who a request is by its port is decided by
``gateway.ambient``; here the ports are only opened and closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from config.settings import AuthMode, Settings

#: seconds between looks at the settings
_LOOK_S: Final = 0.5
log = structlog.get_logger()


class PersonalPorts:
    """The listening sites of one gateway besides its main one.

    Args:
        runner: of the gateway's application, set up.
        settings: the settings now in force, users of overrides included.
    """

    def __init__(self, runner: web.AppRunner, settings: Callable[[], Settings]) -> None:
        self._runner = runner
        self._settings = settings
        self._sites: dict[tuple[str, int], web.TCPSite] = {}
        #: those that could not be opened, and why: told once
        self._failed: dict[tuple[str, int], str] = {}

    async def follow(self) -> None:
        """Open and close ports as users come and go, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Once of ``follow``."""
        settings = self._settings()
        wanted = {
            (settings.gateway.host, user.port): user.name
            for user in settings.users
            if user.port is not None and settings.auth.mode is AuthMode.KEYS
        }
        for place in [place for place in self._sites if place not in wanted]:
            await self._sites.pop(place).stop()
            log.info("personal_port_closed", port=place[1])
        for place, user in wanted.items():
            if place not in self._sites:
                await self._open(place, user)

    async def _open(self, place: tuple[str, int], user: str) -> None:
        host, port = place
        # other gateways on this host open the same port
        site = web.TCPSite(self._runner, host, port, reuse_port=True)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            if self._failed.get(place) != str(error):
                self._failed[place] = str(error)
                log.error("personal_port_not_open", port=port, user=user, error=str(error))
            return
        self._sites[place] = site
        self._failed.pop(place, None)
        log.info("personal_port_open", port=port, user=user)
