"""Whether the gateway lives, and whether it can do its work; for load balancers and ``up``."""

from __future__ import annotations

from aiohttp import web

from gateway.context import Services, services
from scheduler.ledger import LedgerUnavailable


def routes() -> list[web.RouteDef]:
    """``/healthz`` and ``/readyz``, both without identity."""
    return [web.get("/healthz", alive), web.get("/readyz", ready)]


async def alive(request: web.Request) -> web.Response:
    """The process answers."""
    return web.Response(text="ok")


async def ready(request: web.Request) -> web.Response:
    """The ledger answers and at least one worker would take a job."""
    reason = await _missing(services(request))
    if reason is None:
        return web.Response(text="ready")
    return web.Response(status=503, text=reason, headers={"Retry-After": "1"})


async def _missing(svc: Services) -> str | None:
    try:
        if not await svc.ledger.ping():
            return "the ledger does not answer"
        await svc.agents.refresh()
        return None if await svc.agents.ready() else "no worker is ready"
    except LedgerUnavailable:
        return "the ledger does not answer"
