"""A key that ends takes its open sockets with it; requests are checked one by one anyway."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from gateway.door import Door
from gateway.hub import Hub
from scheduler.ledger import LedgerUnavailable

#: seconds between looks; keys change by overrides and by the config file alike
_EVERY_S: Final = 0.5
log = structlog.get_logger()


async def close_revoked(door: Door, hub: Hub) -> None:
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
        except LedgerUnavailable:
            log.debug("overrides_unknown")  # nobody new comes in either
        await asyncio.sleep(_EVERY_S)
