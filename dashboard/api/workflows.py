"""Workflows by their fingerprint: ``/api/v1/workflows``, and one with its runs below it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from dashboard.api import workflow_shapes as shapes
from dashboard.api.asking import Asker, Clock, Refused, Span, Who, answer, asker, refusing, span
from dashboard.api.described import SPAN, Described, inquiry, part, read
from dashboard.api.job_finder import JobFinder
from dashboard.insight import learned, misses, record
from dashboard.insight.names import Names
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.profile import from_json
from scheduler.states import Job
from store.job_list import JobFilter, JobHead, SqlJobs
from store.workflow_nodes import SqlWorkflowNodes
from store.workflows import NodeClass, SqlWorkflows, Workflow

_log = structlog.get_logger()

#: Shown where no time is asked for.
_SPAN_MS: Final = 30 * 86_400_000
#: Sums are by the hour: the first hour counts as a whole.
_HOUR_MS: Final = 3_600_000
#: Newest runs that estimates are compared with.
_MOST_RUNS: Final = 500
#: Of the newest runs so many are looked up in the ledger, for the curve that they were booked with.
_LOOKED_UP: Final = 20
#: Local time is at most so far from UTC, minutes.
_MOST_ZONE: Final = 14 * 60
NO_WORKFLOW: Final = "You have no jobs of such a workflow within this time; ask for a longer one."


class Workflows:
    """Everybody sees what their own jobs came to, admins all jobs."""

    def __init__(
        self,
        jobs: SqlJobs,
        workflows: SqlWorkflows,
        nodes: SqlWorkflowNodes,
        names: Names,
        ledger: Ledger,
        who: Who,
        clock: Clock = time.time,
    ) -> None:
        self._jobs = jobs
        self._workflows = workflows
        self._nodes = nodes
        self._names = names
        self._ledger = ledger
        self._finder = JobFinder(jobs, ledger)
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/workflows", refusing(self.all)),
            web.get("/api/v1/workflows/{fingerprint}", refusing(self.one)),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """Those with most GPU time first."""
        asking, wanted = asker(self._who, request), self._span(request)
        user = asking.only(request.query.get("user"))
        found = await self._workflows.all(wanted.from_ms, wanted.until_ms, user=user)
        names = await self._names.of(one.fingerprint for one in found)
        body: shapes.WorkflowList = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "workflows": [_line(one, names[one.fingerprint]) for one in found],
        }
        return answer(request, body)

    async def one(self, request: web.Request) -> web.Response:
        """Trend, nodes, what was learned, and how right the estimates were."""
        asking, wanted = asker(self._who, request), self._span(request)
        kind = request.match_info["fingerprint"]
        user = asking.only(request.query.get("user"))
        of = JobFilter(
            user=user, fingerprint=kind, from_ms=wanted.from_ms, until_ms=wanted.until_ms
        )
        runs = await self._jobs.page(of, most=_MOST_RUNS)
        days = await self._workflows.days(
            kind, wanted.from_ms, wanted.until_ms, zone_ms=_zone_ms(request), user=user
        )
        if not runs and not days:
            raise Refused(404, NO_WORKFLOW)
        name = (await self._names.of([kind]))[kind]
        body: shapes.WorkflowDetail = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "workflow": {"fingerprint": kind, "name": name},
            "days": [
                {
                    "at_ms": day.at_ms,
                    "jobs": day.jobs,
                    "failed": day.failed,
                    "gpu_seconds": day.gpu_seconds,
                }
                for day in days
            ],
            "nodes": await self._classes(kind, wanted, user),
            "failing": await self._failing(kind, wanted, user),
            "learned": await self._learned(kind, runs, asking),
            "byte_errors": misses.byte_errors(runs),
            "second_errors": misses.second_errors(runs),
            "runs": [
                record.line(one, name)
                for one in await self._finder.told([record.Found(head) for head in runs])
            ],
        }
        return answer(request, body)

    def _span(self, request: web.Request) -> Span:
        wanted = span(request, self._clock, _SPAN_MS)
        return Span(wanted.from_ms - wanted.from_ms % _HOUR_MS, wanted.until_ms)

    async def _classes(self, kind: str, of: Span, user: str | None) -> list[shapes.NodeLine]:
        if user is None:
            found = await self._workflows.nodes(of.from_ms, of.until_ms, fingerprint=kind)
        else:
            found = await self._nodes.of_user(kind, of.from_ms, of.until_ms, user)
        return [_class(one) for one in found]

    async def _failing(self, kind: str, of: Span, user: str | None) -> list[shapes.FailingLine]:
        found = await self._nodes.failing(kind, of.from_ms, of.until_ms, user=user)
        return [
            {
                "node": one.node,
                "class_type": one.class_type,
                "error": one.error,
                "failures": one.failures,
                "last_ms": one.last_ms,
                "job": one.job,
            }
            for one in found
        ]

    async def _learned(
        self, kind: str, runs: Sequence[JobHead], asking: Asker
    ) -> shapes.Learned | None:
        """What the ledger has learned; of a kind that is the asker's."""
        if not runs:
            return None
        try:
            (told,) = await self._ledger.profiles([kind])
            booked = await self._ledger.jobs([head.id for head in runs[:_LOOKED_UP]])
        except LedgerUnavailable:
            return None
        try:
            profile = None if told is None else from_json(told)
        except ValueError as error:
            _log.warning("profile_unreadable", fingerprint=kind, error=str(error))
            return None
        return None if profile is None else learned.learned(profile, _newest(booked))


def _newest(booked: Sequence[Job | None]) -> Job | None:
    return next((job for job in booked if job is not None), None)


def _line(one: Workflow, name: str) -> shapes.WorkflowLine:
    return {
        "workflow": {"fingerprint": one.fingerprint, "name": name},
        "model": one.model,
        "jobs": one.jobs,
        "failed": one.failed,
        "users": one.users,
        "gpu_seconds": one.gpu_seconds,
        "wait_seconds": one.wait_seconds,
        "last_ms": one.last_ms,
    }


def _class(one: NodeClass) -> shapes.NodeLine:
    return {
        "class_type": one.class_type,
        "runs": one.runs,
        "cached": one.cached,
        "failures": one.failures,
        "fallbacks": one.fallbacks,
        "seconds": one.seconds,
        "longest": one.longest,
        "peak_bytes": one.peak_bytes,
    }


def _zone_ms(request: web.Request) -> int:
    """``zone``: minutes that the asker's clock is ahead of UTC.

    Raises:
        Refused: no such time zone.
    """
    text = request.query.get("zone", "0")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 4):
        raise Refused(400, "`zone` must be whole minutes ahead of UTC, for example 60 or -300.")
    minutes = int(text)
    if abs(minutes) > _MOST_ZONE:
        raise Refused(400, f"`zone` must be from -{_MOST_ZONE} to {_MOST_ZONE} minutes.")
    return minutes * 60_000


def describe() -> Described:
    """For the document of the API."""
    owner = inquiry("user", "For admins: only this user's jobs.")
    most = {"type": "integer", "minimum": -_MOST_ZONE, "maximum": _MOST_ZONE}
    zone = inquiry("zone", "Minutes that local time is ahead of UTC; days begin by it.", most)
    one: dict[str, Any] = read(
        "One kind of workflow",
        shapes.WorkflowDetail,
        part("fingerprint", "Of the workflow."),
        *SPAN,
        owner,
        zone,
        missing="The asker has no jobs of it within the span.",
    )
    return Described(
        {
            "/api/v1/workflows": {"get": read("Workflows", shapes.WorkflowList, *SPAN, owner)},
            "/api/v1/workflows/{fingerprint}": {"get": one},
        },
        (shapes.WorkflowList, shapes.WorkflowDetail),
    )
