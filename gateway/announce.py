"""Tells agents, through the ledger, where this gateway answers (for input files)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from config.settings import Settings
from scheduler.ledger import Ledger, LedgerUnavailable

_TTL_MS: Final = 15_000
_EVERY_S: Final = 5.0
log = structlog.get_logger()


def address(settings: Settings, port: int) -> str:
    """Base URL for agents: as configured, else made from the address that is listened on."""
    gateway = settings.gateway
    if gateway.advertise is not None:
        return gateway.advertise.rstrip("/")
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    return f"http://{host}:{port}"


async def announce(
    ledger: Ledger, gateway: str, url: Callable[[], str | None], announced: asyncio.Event
) -> None:
    """Repeat it until cancelled.

    Args:
        ledger: of the pool.
        gateway: this one's id.
        url: None while no port is bound yet.
        announced: set after the first time.
    """
    while True:
        where = url()
        if where is not None:
            try:
                await ledger.announce_gateway(gateway, where, _TTL_MS)
                announced.set()
            except LedgerUnavailable:
                log.warning("announce_failed", gateway=gateway)
        await asyncio.sleep(_EVERY_S if where is not None else 0.05)
