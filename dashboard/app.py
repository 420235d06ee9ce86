"""The dashboard as an aiohttp application; ``cli`` mounts it at ``/dashboard``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from config.settings import Settings
from dashboard.actions import PATH as ACTION_PATH
from dashboard.actions import Actions
from dashboard.administration import administer
from dashboard.alerts.badge import Badge, Badges
from dashboard.api.advice import Advices
from dashboard.api.alerts import Alerts
from dashboard.api.asking import Clock, answer, refuse, tell_unknown
from dashboard.api.contention import Contentions
from dashboard.api.jobs import Captures, Jobs
from dashboard.api.perf import Perf
from dashboard.api.queue import QueueList
from dashboard.api.samples import Samples
from dashboard.api.statement import Statements
from dashboard.api.users import Users
from dashboard.api.what_ifs import Ask, WhatIfs, nobody
from dashboard.api.workflows import Workflows
from dashboard.estimate import PATH as ESTIMATE_PATH
from dashboard.estimate import Estimates, Try
from dashboard.insight.names import Names
from dashboard.live import STILL_SECONDS, UNAVAILABLE, Live, Who
from dashboard.looks import Looks
from dashboard.operations import Operations
from dashboard.overview import overview
from dashboard.pages import STATIC, Pages
from dashboard.progress import Progress
from dashboard.reading import Reading
from dashboard.sampler import Sampler
from scheduler.ledger import Ledger

_log = structlog.get_logger()

#: what reads the ledger for all pages; ``/metrics`` shares it
SAMPLER: Final[web.AppKey[Sampler]] = web.AppKey("sampler", Sampler)


def build(
    ledger: Ledger,
    settings: Callable[[], Settings],
    who: Who,
    *,
    try_out: Try | None = None,
    reading: Reading | None = None,
    progress: Progress | None = None,
    ask_what_if: Ask = nobody,
    operations: Operations | None = None,
    captures: Captures | None = None,
    static: Path = STATIC,
    still_s: float = STILL_SECONDS,
    clock: Clock = time.time,
) -> web.Application:
    """Assemble the application, to be mounted behind the gateway's authentication.

    Args:
        ledger: where everything shown comes from.
        settings: the settings now in force.
        who: user and role of a request that has passed authentication.
        try_out: books a workflow without queueing it; None: there are no estimates.
        progress: tells where running jobs stand; None: nobody does.
        ask_what_if: puts a question of what would have been into the jobs' queue.
        operations: what admins may do; None: nothing but with jobs.
        captures: gives previews that workers' probes keep, by worker and id; None: there are none.
        reading: what is kept; None: only the present is shown.
        static: folder of the built page.
        still_s: silence after which a live page is told that its line is up.
        clock: seconds since the epoch: where a span ends that nobody has named the end of.
    """
    badges = None
    if reading is not None:
        badges = Badges(reading.alerts, lambda: settings().alerts, clock)
    sampler = Sampler(
        ledger, settings, progress=progress, alerts=badges.newest if badges is not None else Badge
    )
    live = Live(sampler, who, still_s, progress)
    pages = Pages(static)
    actions = Actions(ledger, who)

    async def show_overview(request: web.Request) -> web.Response:
        user, role = who(request)
        sample = await sampler.refresh()
        if sample is None:
            return refuse(503, UNAVAILABLE)
        return answer(request, overview(sample, user, role))

    async def sampling(_app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(sampler.run())]
        if badges is not None:
            tasks.append(asyncio.create_task(badges.run()))
        for task in tasks:
            task.add_done_callback(_tell_end)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def send_away(_app: web.Application) -> None:
        await live.close()

    looks = [Looks(reading.audit, who, clock).middleware()] if reading is not None else []
    app = web.Application(middlewares=[tell_unknown, *looks])
    app[SAMPLER] = sampler
    app.cleanup_ctx.append(sampling)
    app.on_shutdown.append(send_away)
    app.router.add_get("", pages.enter)
    app.router.add_get("/", pages.index)
    app.router.add_get("/assets/{name}", pages.asset)
    app.router.add_get("/api/v1/overview", show_overview)
    app.router.add_get("/api/v1/live", live.handle)
    app.router.add_post(ACTION_PATH, actions.handle)
    app.add_routes(QueueList(sampler, who).routes())
    if try_out is not None:
        estimates = Estimates(ledger, settings, who, try_out)
        app.router.add_post(ESTIMATE_PATH, estimates.handle)
    if reading is not None:
        app.add_routes(_kept(reading, ledger, who, clock, captures))
        app.add_routes(_sums(reading, settings, who, ask_what_if, clock))
        app.add_routes(_alerts(reading, settings, who, clock))
        app.add_routes(Perf(reading, who, clock, static / "report.html").routes())
    if reading is not None and operations is not None:
        administer(app, operations, reading.audit, ledger, settings, who, clock)
    return app


def _tell_end(task: asyncio.Task[None]) -> None:
    """Pages stand still without it: whoever wonders finds why in the log."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("pages_stand_still", exc_info=error)


def _kept(
    reading: Reading, ledger: Ledger, who: Who, clock: Clock, captures: Captures | None
) -> Iterator[web.RouteDef]:
    """Every resource over the store."""
    names = Names(reading.jobs)
    yield from Samples(reading.samples, who, clock).routes()
    yield from Advices(reading.advice, reading.audit, reading.jobs, ledger, who, clock).routes()
    yield from Jobs(reading.jobs, reading.timelines, names, ledger, who, clock, captures).routes()
    yield from Workflows(
        reading.jobs, reading.workflows, reading.workflow_nodes, names, ledger, who, clock
    ).routes()


def _sums(
    reading: Reading, settings: Callable[[], Settings], who: Who, ask: Ask, clock: Clock
) -> Iterator[web.RouteDef]:
    """Who used what, and who is in whose way."""
    names = Names(reading.jobs)
    yield from Users(reading.users, reading.waits, names, settings, who, clock).routes()
    yield from Statements(reading.users, settings, who, clock).routes()
    yield from Contentions(reading.contention, names, settings, who, clock).routes()
    yield from WhatIfs(
        reading.what_ifs, reading.past, reading.users, settings, who, ask, clock=clock
    ).routes()


def _alerts(
    reading: Reading, settings: Callable[[], Settings], who: Who, clock: Clock
) -> list[web.RouteDef]:
    return Alerts(
        reading.alerts, reading.alert_messages, reading.audit, settings, who, reading.new_id, clock
    ).routes()
