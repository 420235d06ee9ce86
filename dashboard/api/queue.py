"""All jobs that wait and run, with place, reason and forecast: ``/api/v1/queue``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiohttp import web

from dashboard.api.asking import (
    NO_QUEUE,
    Asker,
    Refused,
    Who,
    answer,
    asker,
    choice,
    page,
    refusing,
)
from dashboard.api.described import PAGE, Described, inquiry, read
from dashboard.api.queue_shapes import Blocker, Counted, Queue, QueuedJob
from dashboard.lineup import Lineup, Standee, line_up
from dashboard.sampler import Sampler
from scheduler.states import JobState

PATH: Final = "/api/v1/queue"
_STATES: Final = ("", "waiting", "held", "running")
#: how a list can be sorted, and by what; all but the first from the largest
_SORTS: Final[dict[str, Callable[[Standee], Any]]] = {
    "place": lambda one: 0,
    "age": lambda one: -one.job.submitted_ms,
    "bytes": lambda one: one.job.reserved_bytes or one.job.need_bytes,
    "seconds": lambda one: one.job.need_seconds,
}


class QueueList:
    """Everybody sees their own jobs, admins all; places are counted among all."""

    def __init__(self, sampler: Sampler, who: Who) -> None:
        self._sampler = sampler
        self._who = who
        self._version = 0
        self._lineup: Lineup | None = None

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [web.get(PATH, refusing(self.queue))]

    async def queue(self, request: web.Request) -> web.Response:
        """One page of it: ``?user=&group=&lane=&reason=&state=&sort=&start=&rows=``."""
        asking, wanted = asker(self._who, request), page(request)
        only = asking.only(request.query.get("user"))
        state = choice(request, "state", _STATES, "")
        sort = choice(request, "sort", tuple(_SORTS), "place")
        lineup = await self._current()
        seen = [one for one in lineup.standees if asking.sees_all or one.job.user == asking.user]
        found = [one for one in seen if only is None or one.job.user == only]
        found = [one for one in found if _matches(one, request, state)]
        if sort != "place":
            found.sort(key=_SORTS[sort], reverse=True)
        shown = found[wanted.start : wanted.start + wanted.rows]
        body: Queue = {
            "now_ms": lineup.snapshot.now_ms,
            "matching": len(found),
            "jobs_seen": len(seen),
            "waiting": len(lineup.standees) - lineup.running,
            "running": lineup.running,
            "start": wanted.start,
            "jobs": [_told(one, lineup, asking) for one in shown],
            "users": _counted(one.job.user for one in seen),
            "reasons": _counted(_reason(one) for one in seen),
            "lanes": _counted(one.job.lane.value for one in seen),
        }
        return answer(request, body)

    async def _current(self) -> Lineup:
        """The line-up of the newest sample, made once for all who ask.

        Raises:
            Refused: the queue is out of reach.
        """
        read_now = await self._sampler.whole()
        if read_now is None:
            raise Refused(503, NO_QUEUE)
        snapshot, held = read_now
        if self._lineup is None or self._lineup.snapshot is not snapshot:
            self._lineup = line_up(snapshot, held)
        return self._lineup


def _matches(one: Standee, request: web.Request, state: str) -> bool:
    asked = request.query
    told = {"group": one.job.group, "lane": one.job.lane.value, "reason": _reason(one)}
    if any(asked.get(name, "") not in ("", value) for name, value in told.items()):
        return False
    running = one.job.state is not JobState.QUEUED
    match state:
        case "running":
            return running
        case "held":
            return one.held
        case "waiting":
            return not running and not one.held
        case _:
            return True


def _reason(one: Standee) -> str:
    """Why it waits, ``held`` for what its user holds, empty for what runs."""
    if one.job.state is not JobState.QUEUED:
        return ""
    if one.held:
        return "held"
    return one.job.wait_reason.value if one.job.wait_reason else "not_planned"


def _counted(names: Iterable[str]) -> list[Counted]:
    counts = Counter(name for name in names if name)
    return [{"name": name, "jobs": jobs} for name, jobs in sorted(counts.items())]


def _told(one: Standee, lineup: Lineup, asking: Asker) -> QueuedJob:
    job = one.job
    return {
        "id": job.id,
        "prompt_id": job.prompt_id,
        "user": job.user,
        "group": job.group,
        "state": job.state.value,
        "lane": job.lane.value,
        "held": one.held,
        "place": one.place or None,
        "own_place": one.own_place or None,
        "wait_reason": _reason(one),
        "wait_detail": job.wait_detail,
        "blocker": _blocker(job.wait_blocker, lineup, asking),
        "worker": job.worker,
        "gpu": job.gpu,
        "submitted_ms": job.submitted_ms,
        "started_ms": job.started_ms or job.admitted_ms,
        "start_p50_ms": job.start_p50_ms,
        "start_p90_ms": job.start_p90_ms,
        "bytes": job.reserved_bytes or job.need_bytes,
        "need_seconds": job.need_seconds,
        "attempt": job.attempt,
    }


def _blocker(blocker: str, lineup: Lineup, asking: Asker) -> Blocker | None:
    """GPUs and workers are everybody's to see; another's job is not."""
    if not blocker:
        return None
    snapshot = lineup.snapshot
    for gpu in snapshot.gpus:
        if gpu.id == blocker:
            return {"kind": "gpu", "id": gpu.id, "name": f"{gpu.agent} GPU {gpu.index}"}
    if any(worker.id == blocker for worker in snapshot.workers):
        return {"kind": "worker", "id": blocker, "name": blocker}
    job = snapshot.active.get(blocker)
    job = job or next((one.job for one in lineup.standees if one.job.id == blocker), None)
    if job is None or not (asking.sees_all or job.user == asking.user):
        return None
    return {"kind": "job", "id": job.id, "name": f"a job of {job.user}"}


def describe() -> Described:
    """For the document of the API."""
    words = (
        inquiry("user", "Whose jobs; others' for admins alone."),
        inquiry("group", "Jobs of this group."),
        inquiry("lane", "Jobs of this lane: `interactive`, `batch`."),
        inquiry("reason", "Jobs that wait for this reason; `held`: held by their user."),
        inquiry("state", "Only those.", {"enum": list(_STATES)}),
        inquiry("sort", "By what; all but `place` from the largest.", {"enum": list(_SORTS)}),
    )
    return Described(
        {PATH: {"get": read("All that waits and runs", Queue, *words, *PAGE)}}, (Queue,)
    )
