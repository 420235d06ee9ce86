"""Each answer of the dashboard's API over a full store: what a page waits for, JSON included.

The application is the real one, so that no route can be left out: one that is not asked here is an
error. Files to take away (recordings, reports, exports) are timed until their first bytes come.
"""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import history_books as books
from bench.history_jobs import LARGE
from bench.history_rows import HOUR_MS, Season
from config.settings import Role, Settings
from dashboard import app as dashboard
from dashboard.operations import NotDone, Operations
from dashboard.reading import reading
from scheduler.ledger import Ledger
from store import schema

_DAY_MS: Final = 24 * HOUR_MS
_ARTIST: Final = "user-1"
#: who asks, by a header: there is no door here
_WHO: Final = "X-Bench-User"
#: not asked: nothing of the store is in them, or they have no end
_NOT_ASKED: Final = frozenset(
    {
        "/api/v1/live",
        # a picture comes from a worker, a log from a host
        "/api/v1/jobs/{job_id}/picture",
        "/api/v1/upkeep/of/{name}/log",
    }
)
#: made anew for each that asks, and sent in pieces
_FILES: Final = frozenset(
    {
        "/api/v1/perf",
        "/api/v1/report",
        "/api/v1/jobs/{job_id}/perf",
        "/api/v1/audit/export",
        "/api/v1/users/statement",
    }
)


@dataclass(frozen=True, slots=True)
class _Known:
    """Ids to ask for."""

    job: str
    other: str
    large: str
    mine: str


async def times(
    engine: AsyncEngine, ledger: Ledger, season: Season, rounds: int
) -> dict[str, dict[str, float]]:
    """Median and worst milliseconds of each answer."""
    known = await _known(engine)
    app = _application(engine, ledger, season)
    asked = _asked(season, known)
    _check(app, asked)
    outer = web.Application()
    outer.add_subapp("/dashboard", app)
    found: dict[str, dict[str, float]] = {}
    async with TestServer(outer) as server, ClientSession(server.make_url("/")) as http:
        for route, queries in asked.items():
            for who in ("root", _ARTIST):
                for words in queries if who == "root" else queries[:1]:
                    path = f"/dashboard{_filled(route, known, who)}{words}"
                    await _once(http, path, who, route)
                    took = [await _once(http, path, who, route) for _ in range(rounds)]
                    if None in took:
                        continue
                    some = [one for one in took if one is not None]
                    name = f"GET {route}{words.split('&from=')[0]}{'' if who == 'root' else ' (artist)'}"
                    found[name] = {
                        "ms": round(statistics.median(some), 1),
                        "worst_ms": round(max(some), 1),
                    }
    return found


async def _once(http: ClientSession, path: str, who: str, route: str) -> float | None:
    """Milliseconds; None: it is not this one's to ask."""
    began = time.perf_counter()
    async with http.get(path, headers={_WHO: who}) as answer:
        if answer.status in (403, 404) and who != "root":
            return None
        if answer.status >= 400:
            raise RuntimeError(f"{path}: {answer.status} {await answer.text()}")
        if route in _FILES:
            await answer.content.readany()
        else:
            await answer.read()
        took = (time.perf_counter() - began) * 1000
        if route in _FILES:
            await answer.read()
    return took


def _check(app: web.Application, asked: Mapping[str, Any]) -> None:
    routes = {
        route.resource.canonical
        for route in app.router.routes()
        if route.method == "GET" and route.resource and "/api/v1/" in route.resource.canonical
    }
    known = set(asked) | _NOT_ASKED
    if routes != known:
        raise RuntimeError(f"asked and served differ: {sorted(routes ^ known)}")


def _asked(season: Season, known: _Known) -> dict[str, list[str]]:
    """By route: queries; the first one is an artist's, too."""
    now = season.until_ms
    day = f"&from={now - _DAY_MS}&until={now}"
    season_long = f"&from={season.from_ms}&until={now}"
    days, all_ = f"?{day[1:]}", f"?{season_long[1:]}"
    month = f"?from={now - 30 * _DAY_MS}&until={now}"
    by = [f"?by={what}{season_long}" for what in ("user", "group", "workflow", "model", "gpu")]
    job = f"?user={_ARTIST}"
    return {
        "/api/v1/overview": [""],
        "/api/v1/queue": ["", f"?user={_ARTIST}"],
        "/api/v1/jobs": [
            all_, f"?state=FAILED{season_long}", f"?state=CANCELLED{season_long}",
            f"?workflow=fp-0001{season_long}", f"?workflow={LARGE}&state=FAILED{season_long}",
            f"?user={_ARTIST}&state=FAILED&workflow=fp-0150{season_long}",
            f"?rows=1000{season_long}", f"?before={now - 40 * _DAY_MS}-x{season_long}",
        ],
        "/api/v1/jobs/{job_id}": [""],
        "/api/v1/jobs/{job_id}/node": ["?node=4"],
        "/api/v1/jobs/{job_id}/compare": [f"?with={known.other}"],
        "/api/v1/jobs/{job_id}/advice": [""],
        "/api/v1/jobs/{job_id}/perf": ["", job],
        "/api/v1/workflows": [all_, f"?user={_ARTIST}{season_long}"],
        "/api/v1/workflows/{fingerprint}": [all_, f"?user={_ARTIST}{season_long}"],
        "/api/v1/users/usage": [*by, f"?user={_ARTIST}&by=model{season_long}"],
        "/api/v1/users/days": [month, f"?by=workflow&from={now - 30 * _DAY_MS}&until={now}"],
        "/api/v1/users/budgets": [""],
        "/api/v1/users/statement": [month, f"?form=csv&each=day{month.replace('?', '&')}"],
        "/api/v1/contention": [all_, days],
        "/api/v1/contention/week": [all_],
        "/api/v1/contention/what-ifs": [""],
        "/api/v1/contention/what-ifs/choices": [days, all_],
        "/api/v1/contention/what-ifs/{id}": [""],
        "/api/v1/samples/gpus": [f"?from={now - 900_000}&until={now}", days, all_],
        "/api/v1/samples/pool": [days, all_],
        "/api/v1/alerts": [""],
        "/api/v1/alerts/past": [all_, f"?rule=slow_node{season_long}", f"?start=19000{season_long}"],
        "/api/v1/alerts/rules": [""],
        "/api/v1/alerts/one/{alert}": [""],
        "/api/v1/alerts/messages": [""],
        "/api/v1/alerts/silences": [""],
        "/api/v1/advice": ["", "?state=ended", "?rows=1000"],
        "/api/v1/advice/{id}": [""],
        "/api/v1/audit": [
            all_, f"?action={books.SELDOM}{season_long}", f"?by=admin-1{season_long}",
            f"?subject=user:user-29{season_long}", f"?by=nobody{season_long}",
        ],
        "/api/v1/audit/export": [days],
        "/api/v1/limits": [""],
        "/api/v1/limits/changes": [""],
        "/api/v1/limits/export": [""],
        "/api/v1/upkeep": [""],
        "/api/v1/maintenance": [""],
        "/api/v1/perf": [days],
        "/api/v1/report": [days],
    }  # fmt: skip


def _filled(route: str, known: _Known, who: str) -> str:
    ids = {
        "job_id": known.large if who == "root" else known.mine,
        "fingerprint": "fp-0001",
        "alert": books.alert_id(-1),
        "id": "what-if-001" if "what-ifs" in route else books.advice_id(0),
    }
    return route.format_map(ids)


async def _known(engine: AsyncEngine) -> _Known:
    jobs = schema.jobs.c
    newest = select(jobs.id).order_by(jobs.ended_ms.desc())
    async with engine.connect() as connection:
        large = (await connection.scalars(newest.where(jobs.fingerprint == LARGE).limit(2))).all()
        mine = (await connection.scalars(newest.where(jobs.user_name == _ARTIST).limit(1))).one()
        some = (
            await connection.scalars(newest.where(jobs.fingerprint == "fp-0001").limit(1))
        ).one()
    return _Known(job=some, other=large[1], large=large[0], mine=mine)


def _application(engine: AsyncEngine, ledger: Ledger, season: Season) -> web.Application:
    settings = Settings()

    def who(request: web.Request) -> tuple[str, Role]:
        name = request.headers[_WHO]
        return name, Role.ADMIN if name == "root" else Role.ARTIST

    def clock() -> float:
        return season.until_ms / 1000

    async def nothing(*_: object) -> Any:
        raise NotDone("nothing is done here")

    return dashboard.build(
        ledger,
        lambda: settings,
        who,
        reading=reading(engine, clock, lambda: uuid.uuid4().hex),
        operations=Operations(
            base=lambda: settings, origin=lambda _: "", worker_log=nothing, forget=nothing
        ),
        clock=clock,
    )
