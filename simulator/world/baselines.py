"""What others do, to compare with: policies with the signature of ``scheduler.policy.plan``.

* ``fifo``: in order of arrival, each on the first idle worker.
* ``fifo-warm``: in order of arrival, on a worker that has its model if one is idle.
* ``round-robin``: the n-th job waits for worker n mod W, whoever else is idle.
* ``fair``: the user with the least virtual counter first (VTC), on the first idle worker.
* ``fair-affinity``: the same, but among the first 32 users the first whose model is
  loaded on an idle worker goes first; a head is passed 64 times or for 600 s at most.
  Nothing waits for a worker that will soon be idle: that made it worse.
* ``oracle``: shortest job first, knowing true times, loading counted where needed.

The first four take what comes, so a job that does not fit keeps those behind it
waiting. None of them preempts, and all see caps as absent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

from scheduler.decisions import Decision, Plan
from scheduler.plan_config import PlanConfig
from scheduler.states import Job, Snapshot
from simulator.world.affinity import fair_affinity, oracle
from simulator.world.floor import Floor, by_counter, is_warm
from simulator.world.planner import Policy

#: more jobs of one user than any queue has
_ALL: Final = 1_000_000
_arrival = attrgetter("submitted_ms", "id")


def baselines() -> dict[str, Callable[[], Policy]]:
    """Makers of all baselines by name; a policy may have a memory of its own run."""
    return {
        "fifo": lambda: Policy(name="fifo", plan=_fifo, window=1, again=True),
        "fifo-warm": lambda: Policy(name="fifo-warm", plan=_fifo_warm, window=1, again=True),
        "round-robin": lambda: Policy(
            name="round-robin", plan=_RoundRobin().plan, window=_ALL, again=False
        ),
        "fair": lambda: Policy(name="fair", plan=_fair, window=1, again=True),
        "fair-affinity": lambda: Policy(
            name="fair-affinity", plan=fair_affinity, window=1, again=True
        ),
        "oracle": lambda: Policy(name="oracle", plan=oracle, window=_ALL, again=False),
    }


def _heads(snapshot: Snapshot) -> list[Job]:
    return [backlog.jobs[0] for backlog in snapshot.backlogs if backlog.jobs]


def _in_order(jobs: Iterable[Job], floor: Floor, *, warm: bool) -> Plan:
    """Admit in the order given until one does not fit; with ``warm``, where it is loaded."""
    decisions: list[Decision] = []
    for job in jobs:
        fitting = [worker for worker in floor.idle if floor.fits(job, worker)]
        if not fitting:
            decisions += floor.clear_for(job)
            break
        loaded = [worker for worker in fitting if is_warm(job, worker)]
        worker = loaded[0] if warm and loaded else fitting[0]
        decisions.append(floor.take(job, worker, warm=worker in loaded))
        if not floor.idle:
            break
    return Plan(tuple(decisions))


def _fifo(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
    return _in_order(_first(snapshot), Floor(snapshot, config), warm=False)


def _fifo_warm(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
    return _in_order(_first(snapshot), Floor(snapshot, config), warm=True)


def _first(snapshot: Snapshot) -> list[Job]:
    """The job that has waited longest: whoever is next may be a second one of its user."""
    heads = _heads(snapshot)
    return [min(heads, key=_arrival)] if heads else []


def _fair(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
    return _in_order(by_counter(snapshot)[:1], Floor(snapshot, config), warm=False)


class _RoundRobin:
    """Each job belongs to one worker from its arrival on."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[str]] = {}
        self._owner: dict[str, str] = {}
        self._newest = (0, "")

    def plan(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        """Give new jobs to the workers in turn; start what each idle worker has first."""
        self._take_back(snapshot)
        self._assign(self._new(snapshot), sorted(worker.id for worker in snapshot.workers))
        queued = {job.id: job for backlog in snapshot.backlogs for job in backlog.jobs}
        floor = Floor(snapshot, config)
        decisions: list[Decision] = []
        for worker in list(floor.idle):
            queue = self._queues.get(worker.id)
            if not queue or worker not in floor.idle:  # it may have to release for another
                continue
            job = queued[queue[0]]
            if floor.fits(job, worker):
                queue.popleft()
                decisions.append(floor.take(job, worker, warm=is_warm(job, worker)))
            else:
                decisions += floor.clear_for(job)
        return Plan(tuple(decisions))

    def _take_back(self, snapshot: Snapshot) -> None:
        """Jobs that were interrupted are first of their user again, and first of their worker."""
        for backlog in snapshot.backlogs:
            for job in backlog.jobs:
                if not job.attempt:
                    break
                queue = self._queues[self._owner[job.id]]
                if job.id not in queue:
                    queue.appendleft(job.id)

    def _new(self, snapshot: Snapshot) -> list[Job]:
        found: list[Job] = []
        for backlog in snapshot.backlogs:
            for job in reversed(backlog.jobs):
                if _arrival(job) <= self._newest:
                    break
                found.append(job)
        return sorted(found, key=_arrival)

    def _assign(self, jobs: Sequence[Job], workers: Sequence[str]) -> None:
        for job in jobs:
            worker = workers[len(self._owner) % len(workers)]
            self._owner[job.id] = worker
            self._queues.setdefault(worker, deque()).append(job.id)
            self._newest = _arrival(job)
