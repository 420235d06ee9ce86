"""``/api/v1/upkeep``: take workers and hosts out of service and back, start them anew, read logs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from config.upkeep import ASKED, REFUSED, YES, drain_path, drained, restart_path
from dashboard.api import upkeep_shapes as shapes
from dashboard.api.asking import Refused, Who, admin, answer, number, refusing
from dashboard.api.described import Described, Json, body, inquiry, part, read
from dashboard.looks import looked_at
from dashboard.operations import NotDone, Operations
from dashboard.rolling import RollingRestart
from dashboard.shapes import Failed
from scheduler.ledger import Ledger, Pool
from scheduler.states import Worker, WorkerState
from store.audit import SqlAudit

ACTIONS: Final = ("drain", "undrain", "restart")
_LINES: Final = 200
_MOST_LINES: Final = 2000


class Upkeep:
    """For admins alone; what is asked for is written down before it is done."""

    def __init__(self, ledger: Ledger, operations: Operations, audit: SqlAudit, who: Who) -> None:
        self._ledger = ledger
        self._operations = operations
        self._audit = audit
        self._who = who
        self.rolling = RollingRestart(ledger, time.monotonic, uuid.uuid4().hex)

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/upkeep", refusing(self.all)),
            web.post("/api/v1/upkeep/rolling", refusing(self.roll)),
            web.post(
                f"/api/v1/upkeep/of/{{name}}/{{action:{'|'.join(ACTIONS)}}}", refusing(self.act)
            ),
            web.get("/api/v1/upkeep/of/{name}/log", refusing(self.log)),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """All workers and what is asked of them."""
        admin(self._who, request)
        pool = await self._ledger.pool()
        _, overrides = await self._ledger.overrides()
        body: shapes.Upkeep = {
            "workers": [_row(one, overrides) for _, one in sorted(pool.workers.items())],
            "rolling": await self.rolling.state(),
        }
        return answer(request, body)

    async def act(self, request: web.Request) -> web.Response:
        """Drain, undrain or restart a worker, or all workers of a host."""
        asking = admin(self._who, request)
        name, action = request.match_info["name"], request.match_info["action"]
        workers = _workers_of(await self._ledger.pool(), name)
        await self._audit.note(asking.user, action, f"worker:{name}", {"workers": workers})
        match action:
            case "drain":
                changes: dict[str, str | None] = {drain_path(name): YES}
            case "undrain":
                changes = {drain_path(one): None for one in (name, *workers)}
            case _:
                changes = {restart_path(one): ASKED for one in workers}
        await self._ledger.override(changes)
        done: shapes.WorkerAsked = {"action": action, "workers": workers}
        return answer(request, done)

    async def roll(self, request: web.Request) -> web.Response:
        """Restart all READY workers, one after the other."""
        asking = admin(self._who, request)
        pool = await self._ledger.pool()
        workers = sorted(one.id for one in pool.workers.values() if one.state is WorkerState.READY)
        if not workers:
            raise Refused(409, "No worker is ready: there is nothing to restart.")
        await self._audit.note(asking.user, "rolling_restart", "pool", {"workers": workers})
        if not await self.rolling.begin(workers, asking.user):
            raise Refused(409, "A rolling restart is under way already.")
        done: shapes.WorkerAsked = {"action": "rolling", "workers": workers}
        return answer(request, done)

    async def log(self, request: web.Request) -> web.Response:
        """What a worker that vramgate started has written last."""
        admin(self._who, request)
        worker = request.match_info["name"]
        lines = number(request, "lines", _LINES, least=1, most=_MOST_LINES)
        if worker not in (await self._ledger.pool()).workers:
            raise Refused(404, f"No worker is called {worker}.")
        try:
            text = await self._operations.worker_log(worker, lines)
        except NotDone as error:
            raise Refused(502, str(error)) from error
        # many people's work leaves its traces in it
        looked_at(request, f"log:{worker}", "")
        told: shapes.WorkerLog = {"worker": worker, "lines": text.splitlines()}
        return answer(request, told)


def _workers_of(pool: Pool, name: str) -> list[str]:
    """The worker of that name, or all workers of the host of that name."""
    if name in pool.workers:
        return [name]
    found = sorted(one.id for one in pool.workers.values() if one.agent == name)
    if not found:
        raise Refused(
            404, f"No worker and no host is called {name}; GET /api/v1/upkeep lists them."
        )
    return found


def _row(worker: Worker, overrides: Mapping[str, str]) -> shapes.WorkerUpkeep:
    resting, asked = drained(overrides), overrides.get(restart_path(worker.id), "")
    return {
        "id": worker.id,
        "agent": worker.agent,
        "gpu": worker.gpu,
        "state": worker.state.value,
        "detail": worker.detail,
        "busy": bool(worker.job),
        "drained": worker.id in resting,
        "host_drained": worker.agent in resting,
        "restart": {ASKED: "asked", REFUSED: "refused"}.get(asked, ""),
    }


def describe() -> Described:
    """For the document of the API."""
    name = part("name", "A worker, or a host for all of its workers.")
    action = {**part("action", "What to do."), "schema": {"enum": list(ACTIONS)}}
    lines = inquiry(
        "lines", "So many of the last.", {"type": "integer", "minimum": 1, "maximum": _MOST_LINES}
    )
    log = read("A worker's log", shapes.WorkerLog, name, lines, missing="There is no such worker.")
    log["responses"]["502"] = body("Its host does not give it.", Failed)
    return Described(
        {
            "/api/v1/upkeep": {"get": read("Workers and what is asked of them", shapes.Upkeep)},
            "/api/v1/upkeep/rolling": {
                "post": _asked("Restart all workers, one after the other", 409)
            },
            "/api/v1/upkeep/of/{name}/{action}": {
                "post": _asked("Drain, undrain or restart", 404, name, action)
            },
            "/api/v1/upkeep/of/{name}/log": {"get": log},
        },
        (shapes.Upkeep, shapes.WorkerAsked, shapes.WorkerLog),
    )


def _asked(summary: str, refused: int, *parameters: Json) -> Json:
    told: Json = {
        "summary": summary,
        "responses": {
            "200": body(
                "It is asked for; GET /api/v1/upkeep tells what comes of it.", shapes.WorkerAsked
            ),
            "304": {"description": "The caller has it already (`If-None-Match`)."},
            "403": body("The caller is no admin.", Failed),
            str(refused): body("It cannot be done; the text says why.", Failed)
            | ({"x-may-be-empty": True} if refused == 404 else {}),
            "503": body("Queue or store do not answer: nothing was asked for.", Failed),
        },
    }
    return told | {"parameters": list(parameters)} if parameters else told
