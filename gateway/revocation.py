"""A key that ends takes its open sockets with it; requests are checked one by one anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from gateway.context import Identity
from gateway.door import Door
from gateway.hub import Hub
from scheduler.ledger import LedgerUnavailable

#: seconds between looks; keys change by overrides and by the config file alike
_EVERY_S: Final = 0.5
log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Open:
    who: Identity
    transport: asyncio.Transport


class OpenSockets:
    """Sockets of further applications (the dashboard), which know no keys themselves."""

    def __init__(self) -> None:
        self._open: set[_Open] = set()

    @contextmanager
    def during(self, request: web.Request, who: Identity) -> Iterator[None]:
        """This request is a socket's handshake, and lasts as long as the socket."""
        if request.transport is None:
            yield
            return
        entry = _Open(who, request.transport)
        self._open.add(entry)
        try:
            yield
        finally:
            self._open.discard(entry)

    async def cut_revoked(self, door: Door) -> None:
        """Cut those whose key or role is no longer what it was.

        Raises:
            LedgerUnavailable: overrides were never read.
        """
        for entry in list(self._open):
            if entry.who.key and not await door.stands(entry.who):
                log.info("socket_revoked", user=entry.who.user)
                entry.transport.abort()


OPEN_SOCKETS: Final[web.AppKey[OpenSockets]] = web.AppKey("open sockets", OpenSockets)


async def close_revoked(door: Door, hub: Hub, others: OpenSockets) -> None:
    """Close sockets whose key is no longer valid, until cancelled.

    All sockets each time, not only after a change: one that was let in under the old keys
    may have joined just after it.
    """
    while True:
        try:
            for socket in hub.sockets:
                if socket.key and not await door.holds(socket.user, socket.key):
                    log.info("socket_revoked", user=socket.user)
                    socket.close()
            await others.cut_revoked(door)
        except LedgerUnavailable:
            log.debug("overrides_unknown")  # nobody new comes in either
        await asyncio.sleep(_EVERY_S)
