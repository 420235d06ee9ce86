"""What admins do from the dashboard: all its resources in one hand."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from config.settings import Settings
from dashboard.api.asking import Clock, Who
from dashboard.api.audit import Audit
from dashboard.api.forgetting import Forgetting
from dashboard.api.limits import Limits
from dashboard.api.maintenance import MaintenanceMode
from dashboard.api.upkeep import Upkeep
from dashboard.operations import Operations
from scheduler.ledger import Ledger
from store.audit import SqlAudit


def administer(
    app: web.Application,
    operations: Operations,
    audit: SqlAudit,
    ledger: Ledger,
    settings: Callable[[], Settings],
    who: Who,
    clock: Clock,
) -> None:
    """Add the routes; every one of them asks for an admin, but that of maintenance's state."""
    upkeep = Upkeep(ledger, operations, audit, who)
    app.add_routes(upkeep.routes())
    app.add_routes(Limits(ledger, operations, audit, who).routes())
    app.add_routes(MaintenanceMode(ledger, operations, audit, who, clock).routes())
    app.add_routes(Audit(audit, settings, who, clock).routes())
    app.add_routes(Forgetting(operations, who).routes())

    async def stop_rolling(_app: web.Application) -> None:
        await upkeep.rolling.close()

    app.on_shutdown.append(stop_rolling)
