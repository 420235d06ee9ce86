"""Jobs: ``/api/v1/jobs``, and one job's nodes, memory, story and comparison below it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from dashboard.api import described
from dashboard.api import job_shapes as shapes
from dashboard.api.asking import (
    MOST_ROWS,
    Asker,
    Clock,
    Refused,
    Who,
    answer,
    asker,
    number,
    page,
    refusing,
    span,
)
from dashboard.api.cursor import cursor
from dashboard.api.described import PAGE, SPAN, Described, inquiry, part, read
from dashboard.api.job_finder import JobFinder
from dashboard.insight import comparison, memory, nodes, outputs, record, story
from dashboard.insight.names import Names
from dashboard.looks import looked_at
from dashboard.shapes import Failed
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.rehearsal import WINDOW
from scheduler.states import TERMINAL, Job, JobState
from store.job_list import JobFilter, SqlJobs
from store.timeline import SqlTimelines, Timeline

#: The list shows so much time where not told otherwise.
_LIST_MS: Final = 30 * 86_400_000
#: Of a job in one of these, rows may still be on their way: it is shown as far as it is known.
_STATES: Final = tuple(state.value for state in JobState)
NO_PICTURE: Final = "No picture of it is kept: probes keep few, and none over a restart."
#: Gives a worker's preview by its id; None: it is gone.
Captures = Callable[[str, str], Awaitable[bytes | None]]
NO_NODE: Final = "The probe has told no such node of this attempt; the job's page lists its nodes."


class Jobs:
    """Everybody sees their own jobs, admins all."""

    def __init__(
        self,
        jobs: SqlJobs,
        timelines: SqlTimelines,
        names: Names,
        ledger: Ledger,
        who: Who,
        clock: Clock = time.time,
        captures: Captures | None = None,
    ) -> None:
        """``captures``: gives previews of workers' probes; None: there are none."""
        self._jobs = jobs
        self._timelines = timelines
        self._names = names
        self._ledger = ledger
        self._who = who
        self._clock = clock
        self._captures = captures
        self._finder = JobFinder(jobs, ledger)

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/jobs", refusing(self.all)),
            web.get("/api/v1/jobs/{job_id}", refusing(self.one)),
            web.get("/api/v1/jobs/{job_id}/node", refusing(self.node)),
            web.get("/api/v1/jobs/{job_id}/picture", refusing(self.picture)),
            web.get("/api/v1/jobs/{job_id}/compare", refusing(self.compare)),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """By ``state`` (several with commas), ``user``, ``workflow`` and the time of its end."""
        asking = asker(self._who, request)
        wanted = self._filter(request, asking)
        before = cursor(request)
        rows = page(request).rows
        heads = await self._jobs.page(wanted, before=before, most=rows + 1)
        more, heads = len(heads) > rows, heads[:rows]
        unfinished = [] if before else await self._unfinished(wanted)
        known = {head.id for head in heads}
        found = [one for one in map(record.of_ledger, unfinished) if one.head.id not in known]
        ended = await self._finder.told([record.Found(head) for head in heads])
        names = await self._names.of(one.head.fingerprint for one in [*found, *ended])
        body: shapes.JobList = {
            "unfinished": [record.line(one, names[one.head.fingerprint]) for one in found],
            "jobs": [record.line(one, names[one.head.fingerprint]) for one in ended],
            "next": f"{heads[-1].ended_ms}-{heads[-1].id}" if more else None,
        }
        return answer(request, body)

    async def one(self, request: web.Request) -> web.Response:
        """A job and its last attempt, or ``attempt=``."""
        asking = asker(self._who, request)
        found = await self._find(request, request.match_info["job_id"], asking)
        attempt = number(request, "attempt", 0, most=10_000) or None
        return answer(request, await self._detail(found, asking, attempt))

    async def node(self, request: web.Request) -> web.Response:
        """One node (``node=``) of an attempt: parameters, shapes, files, history."""
        asking = asker(self._who, request)
        found = await self._find(request, request.match_info["job_id"], asking)
        head, name = found.head, request.query.get("node", "")
        attempt = number(request, "attempt", head.attempts, most=10_000)
        one = await self._timelines.node(head.id, attempt, name, fingerprint=head.fingerprint)
        if one is None:
            raise Refused(404, NO_NODE)
        run, owner = one.run, head.user_name == asking.user
        prompt, result = await self._finder.bodies(found) if owner else (None, None)
        past = await self._timelines.past(
            head.fingerprint,
            run.class_type,
            head.ended_ms or self._now_ms(),
            node=run.node if one.alone else None,
            # whose others are is nothing that points in time should tell
            user=asking.only(),
        )
        loading = nodes.loads(one.moves).get(run.node, 0.0)
        files = outputs.outputs(result)
        body: shapes.NodeDetail = {
            "bar": nodes.bar(run, nodes.read_graph(prompt), loading, titles=owner),
            "inputs": dict(run.shapes.get("inputs") or {}),
            "results": dict(run.shapes.get("outputs") or {}),
            "picture": owner and self._captures is not None and bool(run.capture),
            "files": [file for file in files if file["node"] in (run.node, run.display)],
            "past": [
                {"job": old.job, "ended_ms": old.ended_ms, "seconds": old.seconds} for old in past
            ],
            "compared": one.compared,
        }
        return answer(request, body)

    async def picture(self, request: web.Request) -> web.Response:
        """What a node (``node=``) handed on, as its probe saw it: the owner's alone, as a JPEG."""
        asking = asker(self._who, request)
        found = await self._find(request, request.match_info["job_id"], asking)
        head, name = found.head, request.query.get("node", "")
        attempt = number(request, "attempt", head.attempts, most=10_000)
        if head.user_name != asking.user or self._captures is None:
            raise Refused(404, NO_PICTURE)
        one = await self._timelines.node(head.id, attempt, name, fingerprint="")
        worker = await self._jobs.worker_of(head.id, attempt)
        if one is None or not one.run.capture or not worker:
            raise Refused(404, NO_PICTURE)
        jpeg = await self._captures(worker, one.run.capture)
        if jpeg is None:
            raise Refused(404, NO_PICTURE)
        headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=jpeg, content_type="image/jpeg", headers=headers)

    async def compare(self, request: web.Request) -> web.Response:
        """The job beside another one (``with=``)."""
        asking = asker(self._who, request)
        other = request.query.get("with", "")
        if not other:
            raise Refused(400, "`with` must be the id of the other job.")
        a = await self._find(request, request.match_info["job_id"], asking)
        b = await self._find(request, other, asking)
        names = await self._names.of([a.head.fingerprint, b.head.fingerprint])
        left, right = await self._side(a), await self._side(b)
        body: shapes.Comparison = {
            "a": record.line(a, names[a.head.fingerprint]),
            "b": record.line(b, names[b.head.fingerprint]),
            "parts": comparison.parts(left, right),
            "nodes": comparison.nodes(left, right),
        }
        return answer(request, body)

    async def _find(self, request: web.Request, job_id: str, asking: Asker) -> record.Found:
        found = await self._finder.find(job_id, asking, request.query.get("user"))
        looked_at(request, f"job:{found.head.id}", found.head.user_name)
        return found

    def _filter(self, request: web.Request, asking: Asker) -> JobFilter:
        asked = [one for one in request.query.get("state", "").split(",") if one]
        if not set(asked) <= set(_STATES):
            raise Refused(400, f"`state` must be some of: {', '.join(_STATES)}.")
        wanted = span(request, self._clock, _LIST_MS)
        return JobFilter(
            user=asking.only(request.query.get("user")),
            states=tuple(asked) or None,
            fingerprint=request.query.get("workflow") or None,
            from_ms=wanted.from_ms,
            until_ms=wanted.until_ms if "until" in request.query else None,
        )

    async def _unfinished(self, wanted: JobFilter) -> list[Job]:
        """Those that a list of what has ended lacks; none while the ledger is away."""
        if wanted.until_ms is not None and wanted.until_ms < self._now_ms():
            return []
        try:
            if wanted.user is not None:
                jobs = await self._ledger.unfinished(wanted.user)
            else:
                snapshot = await self._ledger.snapshot(WINDOW)
                queued = [job for backlog in snapshot.backlogs for job in backlog.jobs]
                jobs = [*snapshot.active.values(), *queued]
        except LedgerUnavailable:
            return []
        return [job for job in jobs if _matches(job, wanted)][:MOST_ROWS]

    async def _detail(
        self, found: record.Found, asking: Asker, attempt: int | None
    ) -> shapes.JobDetail:
        head, now_ms = found.head, self._now_ms()
        seen = await self._timelines.read(
            head.id, attempt, fingerprint=head.fingerprint, now_ms=now_ms, shapes=False
        )
        owner = head.user_name == asking.user
        prompt, result = await self._finder.bodies(found)
        name = (await self._names.of([head.fingerprint]))[head.fingerprint]
        last = seen is not None and seen.attempt == head.attempts
        return {
            "job": record.line(found, name),
            "load_seconds": found.live.load_seconds if found.live else 0.0,
            "steps": story.steps(found, seen.attempts if seen else (), now_ms),
            "waited": await self._waited(found, asking),
            "waiting": story.waiting(found.live, sees_all=asking.sees_all),
            "attempt": seen.attempt if seen else 0,
            "ran": _ran(seen),
            "nodes": nodes.bars(
                seen.nodes if seen else (),
                seen.moves if seen else (),
                nodes.read_graph(prompt),
                succeeded=last and head.state == JobState.SUCCEEDED.value,
                titles=owner,
            ),
            "moves": nodes.listed_moves(seen.moves if seen else ()),
            "memory": _memory(seen, now_ms),
            "compared": seen.compared if seen else 0,
            "outputs": outputs.outputs(result) if owner else [],
            "now_ms": now_ms,
        }

    async def _waited(self, found: record.Found, asking: Asker) -> list[shapes.WaitShare]:
        head = found.head
        until_ms = found.first_admitted_ms or head.admitted_ms or head.ended_ms or self._now_ms()
        if not head.submitted_ms or until_ms <= head.submitted_ms:
            return []
        rows = await self._jobs.waited(head.user_name, head.submitted_ms, until_ms)
        return story.waited(rows, head.user_name, sees_all=asking.sees_all)

    async def _side(self, found: record.Found) -> comparison.Side:
        head, now_ms = found.head, self._now_ms()
        seen = await self._timelines.read(
            head.id, fingerprint=head.fingerprint, now_ms=now_ms, compare=False, memory=False
        )
        runs = seen.nodes if seen else ()
        ran = seen.prompt["seconds"] if seen and seen.prompt else head.run_seconds
        return comparison.Side(
            runs=runs,
            loads=nodes.loads(seen.moves if seen else ()),
            inputs={run.node: run.shapes["inputs"] for run in runs if run.shapes.get("inputs")},
            wait_seconds=record.wait_seconds(found) or 0.0,
            run_seconds=float(ran),
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _matches(job: Job, wanted: JobFilter) -> bool:
    if job.state in TERMINAL:
        return False
    if wanted.states is not None and job.state.value not in wanted.states:
        return False
    return wanted.fingerprint in (None, job.fingerprint)


def _ran(seen: Timeline | None) -> shapes.Ran | None:
    if seen is None or seen.prompt is None:
        return None
    row: Mapping[str, Any] = seen.prompt
    return {
        "started_ms": row["started_ms"],
        "seconds": row["seconds"],
        "result": row["result"],
        "nodes": row["nodes"],
        "cached": row["cached"],
        "peak_allocated": row["peak_allocated"],
        "peak_reserved": row["peak_reserved"],
        "limit_bytes": row["limit_bytes"],
        "loads": row["loads"],
        "load_seconds": row["load_seconds"],
        "overlap": bool(row["overlap"]),
    }


def _memory(seen: Timeline | None, now_ms: int) -> shapes.Memory:
    if seen is None or seen.ran is None or not seen.curve:
        return memory.memory((), seen.gaps if seen else (), now_ms, now_ms)
    return memory.memory(seen.curve, seen.gaps, seen.ran.begin_ms, seen.ran.end_ms)


def describe() -> Described:
    """For the document of the API."""
    job_id = part("job_id", "Of the job, or the id that its client chose.")
    owner = inquiry("user", "For admins: whose job a client's id means.")
    attempt = inquiry("attempt", "Which try; the last one where missing.", _WHOLE)
    node = inquiry("node", "The node's id.")
    filters = (
        inquiry("state", "One state, or several with commas."),
        inquiry("user", "For admins: whose."),
        inquiry("workflow", "A fingerprint."),
        inquiry("before", "`next` of the page before."),
    )
    missing = "There is no such job, or it is somebody else's."
    one = "/api/v1/jobs/{job_id}"
    return Described(
        {
            "/api/v1/jobs": {"get": read("Jobs", shapes.JobList, *SPAN, PAGE[1], *filters)},
            one: {
                "get": read(
                    "One job with its nodes", shapes.JobDetail, job_id, owner, attempt,
                    missing=missing,
                )
            },
            f"{one}/node": {
                "get": read(
                    "One node of a job", shapes.NodeDetail, job_id, owner, attempt, node,
                    missing=missing,
                )
            },
            f"{one}/picture": {"get": _picture(job_id, owner, attempt, node)},
            f"{one}/compare": {
                "get": read(
                    "Two jobs side by side", shapes.Comparison, job_id, owner,
                    inquiry("with", "The id of the other one."), missing=missing,
                )
            },
        },
        (shapes.JobList, shapes.JobDetail, shapes.NodeDetail, shapes.Comparison),
    )  # fmt: skip


def _picture(*parameters: dict[str, Any]) -> dict[str, Any]:
    failed = {status: described.body(text, Failed) for status, text in _PICTURE_FAILS.items()}
    jpeg = {"description": "A JPEG.", "content": {"image/jpeg": {"schema": {"type": "string"}}}}
    summary = "What a node handed on, as its probe saw it"
    return {"summary": summary, "parameters": list(parameters), "responses": {"200": jpeg} | failed}


_PICTURE_FAILS: Final = {
    "400": "A parameter is wrong; the text says which.",
    "403": "The caller's role does not allow it.",
    "404": "There is no such job of the caller's, or no picture is kept.",
    "503": "The store does not answer.",
}
_WHOLE: Final = {"type": "integer", "minimum": 0}
