"""Tells a webhook: one POST, signed, to the address of the config file and to no other.

No redirect is followed, no proxy of the environment used, nothing of the answer is kept but its
status; link-local addresses (the metadata services of clouds) are refused by name as by number.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from config.alerts import Webhook, is_link_local
from dashboard.alerts.sending import Outcome, Sent, Unsent
from dashboard.alerts.signature import headers

_TIMEOUT_S: Final = 10.0
#: Of these a second try comes to the same.
_FOR_GOOD: Final = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422})


class _Forbidden(OSError):
    """The name leads to a link-local address."""


class _Resolver(AbstractResolver):
    """Looks names up, and refuses those that lead to a machine's own services."""

    def __init__(self) -> None:
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a name.

        Raises:
            OSError: there is none, or one of them is link-local.
        """
        found = await self._names.resolve(host, port, family)
        if any(is_link_local(one["host"]) for one in found):
            raise _Forbidden(f"{host} leads to a link-local address")
        return found

    async def close(self) -> None:
        """Nothing is kept."""
        await self._names.close()


async def post(
    webhook: Webhook,
    secret: str,
    message_id: str,
    body: str,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Tell it once.

    Args:
        webhook: where.
        secret: what it is signed with.
        message_id: the same at each try: whoever is told twice can tell.
        body: JSON text.
        clock: seconds since the epoch.
    """
    data = body.encode()
    sent = {
        **headers(secret, message_id, int(clock()), data),
        "Content-Type": "application/json",
        "User-Agent": "vramgate",
    }
    connector = aiohttp.TCPConnector(resolver=_Resolver(), force_close=True)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        try:
            async with session.post(
                webhook.url, data=data, headers=sent, allow_redirects=False
            ) as answer:
                return _outcome(answer.status)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            # the class only: the text may hold the address, and that a token
            return Unsent(f"no answer ({type(error).__name__})")


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Sent()
    if 300 <= status < 400:
        return Unsent(f"answered {status}: redirects are not followed, change the url", again=False)
    return Unsent(f"answered {status}", again=status not in _FOR_GOOD)
