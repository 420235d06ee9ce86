"""A pool run forward: what would start when, if nobody sent anything more (pure).

It is driven by the production ``plan``. Running jobs end when the plan's own picture
says so, admitted ones take what they were granted, a release takes a fixed time, and
what a worker keeps afterwards follows the picture in ``placement``. Interrupting for
others is left out: it is rare, and an interrupted job's place is not known before.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from enum import Enum
from typing import Final

from scheduler.bookkeeping import changed
from scheduler.decisions import Admit, Refuse, Release
from scheduler.placement import BASE_BYTES, Room, Seat
from scheduler.plan_config import PlanConfig
from scheduler.policy import plan
from scheduler.states import Backlog, Job, JobState, MemoryLimit, Snapshot, Worker, WorkerState

#: From the order to the memory being back: 0.35 to 0.5 s on an H200, no weights to move.
RELEASE_MS: Final = 500
#: What reports today is taken to report for good.
_FOR_GOOD_MS: Final = 10 * 365 * 86_400_000
#: Jobs that have not started by then are not foretold.
HORIZON_MS: Final = 86_400_000


class Pace(Enum):
    """How long jobs take in a future."""

    #: as long as is expected of them
    EXPECTED = "expected"
    #: as long as they hardly ever exceed
    LATE = "late"


class _Change(Enum):
    ENDED = 0
    LOADED = 1
    RELEASED = 2
    TIME = 3


class Future:
    """One run. Each ``step`` makes one plan, so that a caller can do other things between."""

    def __init__(self, snapshot: Snapshot, config: PlanConfig, pace: Pace) -> None:
        """Begin at the snapshot's time; the snapshot itself is not changed."""
        self.now_ms = snapshot.now_ms
        #: job → server time of its start, in the order of admission; and where
        self.starts: dict[str, int] = {}
        self.places: dict[str, str] = {}
        self._until = snapshot.now_ms + HORIZON_MS
        self._pace = pace
        self._config = replace(config, preemption=None)
        self._agents = snapshot.agents
        self._catalogues = snapshot.catalogues
        self._groups = dict(snapshot.groups)
        self._active = dict(snapshot.active)
        self._backlogs = {backlog.user: backlog for backlog in snapshot.backlogs}
        self._waiting = sum(len(backlog.jobs) for backlog in snapshot.backlogs)
        heard = snapshot.now_ms - config.heartbeat_ms
        good = snapshot.now_ms + _FOR_GOOD_MS
        self._gpus = {
            gpu.id: replace(gpu, heartbeat_ms=good) if gpu.heartbeat_ms >= heard else gpu
            for gpu in snapshot.gpus
        }
        self._workers = {
            worker.id: replace(worker, heartbeat_ms=good)
            if worker.heartbeat_ms >= heard
            else worker
            for worker in snapshot.workers
        }
        self._changes: list[tuple[int, int, _Change, str]] = []
        self._number = 0
        self._foresee_running(snapshot, config)

    def _foresee_running(self, snapshot: Snapshot, config: PlanConfig) -> None:
        floors = dict(config.floors)
        room = Room(snapshot, snapshot.now_ms, config.safety, floors=floors)
        self._floors = {name: seat.floor for name, seat in room.seats.items()}
        for name, seat in room.seats.items():
            if seat.job:
                self._foresee(self._end_of(seat), _Change.ENDED, name)
                self._foresee_loaded(self._active.get(seat.job), name)
            elif seat.state is WorkerState.RELEASING:
                self._foresee(self.now_ms + RELEASE_MS, _Change.RELEASED, name)

    def _end_of(self, seat: Seat) -> int:
        return seat.ends_ms if self._pace is Pace.EXPECTED else seat.late_ms

    def _foresee_loaded(self, job: Job | None, worker: str) -> None:
        if job is not None and job.granted_load_seconds:
            began = job.started_ms or job.admitted_ms
            at_ms = began + int(job.granted_load_seconds * 1000) + 1
            if at_ms > self.now_ms:
                self._foresee(at_ms, _Change.LOADED, worker)

    def _foresee(self, at_ms: int, change: _Change, worker: str) -> None:
        self._number += 1
        heapq.heappush(self._changes, (at_ms, self._number, change, worker))

    def step(self) -> bool:
        """Make the next plan and go to the moment when there could be another.

        Returns:
            False: nothing more will start within the horizon.
        """
        if not self._waiting:
            return False
        if self._anybody_idle():
            self._plan()
        return self._waiting > 0 and self._go_on()

    def _anybody_idle(self) -> bool:
        return any(
            not worker.job and worker.state is WorkerState.READY
            for worker in self._workers.values()
        )

    def _plan(self) -> None:
        snapshot = Snapshot(
            now_ms=self.now_ms,
            gpus=tuple(self._gpus.values()),
            workers=tuple(self._workers.values()),
            backlogs=tuple(self._backlogs.values()),
            active=self._active,
            agents=self._agents,
            groups=self._groups,
            catalogues=self._catalogues,
        )
        made = plan(snapshot, self.now_ms, self._config)
        for decision in made.decisions:
            match decision:
                case Admit():
                    self._admit(decision)
                case Release(worker=worker):
                    self._workers[worker.id] = replace(
                        self._workers[worker.id], state=WorkerState.RELEASING
                    )
                    self._foresee(self.now_ms + RELEASE_MS, _Change.RELEASED, worker.id)
                case Refuse(job=job):
                    self._leave(job, ())
                case _:  # places that are kept are kept again by the next plan
                    pass
        if made.again_ms > self.now_ms:
            self._foresee(made.again_ms, _Change.TIME, "")

    def _admit(self, admit: Admit) -> None:
        job, grant, name = admit.job, admit.grant, admit.worker.id
        self.starts[job.id] = self.now_ms
        self.places[job.id] = name
        self._leave(job, grant.passed)
        owner = self._backlogs[job.user]
        self._backlogs[job.user] = replace(
            owner,
            running=owner.running + 1,
            last_admitted_ms=self.now_ms,
            virtual=owner.virtual + grant.user_charge,
        )
        self._groups[job.group] = self._groups.get(job.group, 0) + grant.group_charge
        run = grant.seconds - grant.load_seconds
        if self._pace is Pace.LATE:
            run = max(run, job.late_seconds)
        end = self.now_ms + int((grant.load_seconds + run) * 1000)
        started = changed(
            job,
            state=JobState.RUNNING,
            worker=name,
            gpu=admit.worker.gpu,
            admitted_ms=self.now_ms,
            started_ms=self.now_ms,
            reserved_bytes=grant.bytes,
            granted_seconds=grant.seconds,
            granted_load_seconds=grant.load_seconds,
        )
        self._active[job.id] = started
        self._workers[name] = _busy(self._workers[name], started)
        self._foresee(end, _Change.ENDED, name)
        self._foresee_loaded(started, name)

    def _leave(self, job: Job, passed: tuple[str, ...]) -> None:
        """Take a job from its queue, and count that it passed others."""
        self._waiting -= 1
        owner = self._backlogs[job.user]
        left = tuple([other for other in owner.jobs if other.id != job.id])
        self._backlogs[job.user] = replace(owner, jobs=left, queued=owner.queued - 1)
        for user, backlog in self._backlogs.items() if passed else ():
            if any(other.id in passed for other in backlog.jobs):
                self._backlogs[user] = _skipped(backlog, passed)

    def _go_on(self) -> bool:
        if not self._changes or self._changes[0][0] > self._until:
            return False
        self.now_ms = max(self.now_ms, self._changes[0][0])
        while self._changes and self._changes[0][0] <= self.now_ms:
            _, _, change, worker = heapq.heappop(self._changes)
            if change is _Change.ENDED:
                self._end(self._workers[worker])
            elif change is _Change.RELEASED:
                self._take_back(self._workers[worker])
        return True

    def _end(self, worker: Worker) -> None:
        job = self._active.pop(worker.job, None)
        kept = worker if job is None else _after(worker, job)
        if job is not None and job.user in self._backlogs:
            owner = self._backlogs[job.user]
            self._backlogs[job.user] = replace(owner, running=max(0, owner.running - 1))
        self._put(worker, replace(kept, job="", reserved_bytes=0))

    def _take_back(self, worker: Worker) -> None:
        used = min(worker.used_bytes, self._floors[worker.id])
        self._put(worker, replace(worker, state=WorkerState.READY, used_bytes=used, models=()))

    def _put(self, before: Worker, after: Worker) -> None:
        """Change a worker, and what its GPU shows as used."""
        self._workers[after.id] = after
        gpu = self._gpus.get(after.gpu)
        if gpu is not None and after.used_bytes != before.used_bytes:
            used = max(0, gpu.used_bytes + after.used_bytes - before.used_bytes)
            self._gpus[gpu.id] = replace(gpu, used_bytes=used)


def _busy(worker: Worker, job: Job) -> Worker:
    others = tuple(model for model in worker.models if model not in job.models)
    return replace(
        worker, job=job.id, reserved_bytes=job.reserved_bytes, models=(*job.models, *others)
    )


def _after(worker: Worker, job: Job) -> Worker:
    """What a worker keeps of its last job, and of the models that it had before.

    Others stay as long as all fit into what it was promised; ComfyUI gives them up else.
    """
    if not job.reserved_bytes:
        return worker
    own = min(job.need_bytes, job.reserved_bytes)
    if set(worker.models) <= set(job.models):
        return replace(worker, used_bytes=max(worker.used_bytes, own))
    both = worker.used_bytes + max(0, own - BASE_BYTES)
    if both <= max(job.reserved_bytes, worker.used_bytes):
        return replace(worker, used_bytes=both)
    if worker.limit is MemoryLimit.OBSERVED:
        return replace(worker, used_bytes=max(worker.used_bytes, job.reserved_bytes))
    return replace(worker, used_bytes=own, models=job.models)


def _skipped(backlog: Backlog, passed: tuple[str, ...]) -> Backlog:
    jobs = [
        changed(job, skips=job.skips + passed.count(job.id)) if job.id in passed else job
        for job in backlog.jobs
    ]
    return replace(backlog, jobs=tuple(jobs))
