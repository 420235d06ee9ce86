"""What all pages show at one moment, condensed from the ledger: pure values.

Two samples are equal when a page would look the same; times of reading and
heartbeats do not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dashboard.alerts.badge import Badge
from scheduler.states import Gpu, Job, Snapshot, Vitals, Worker

#: Queued jobs of each user that a live page shows at most.
MOST_SHOWN: Final = 100
_NOT_TOLD: Final = Vitals()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSample:
    """A GPU's memory, cut into who holds it. Bytes of device footprint."""

    id: str
    name: str
    agent: str
    index: int
    state: str
    memory_source: str
    #: its agent has not reported lately: the figures are old
    silent: bool
    total_bytes: int
    #: other processes'
    foreign_bytes: int
    #: kept by idle workers
    resident_bytes: int
    #: held by workers with a job: promised or used, whichever is more
    reserved_bytes: int
    vitals: Vitals = _NOT_TOLD
    #: another agent that claims it too, "" for none
    rival: str = ""

    @property
    def free_bytes(self) -> int:
        """What is left; never negative, though promises and use may add up to more."""
        held = self.foreign_bytes + self.resident_bytes + self.reserved_bytes
        return max(0, self.total_bytes - held)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSample:
    """A worker, and whose job it has."""

    id: str
    agent: str
    gpu: str
    state: str
    silent: bool
    used_bytes: int
    reserved_bytes: int
    models: tuple[str, ...]
    busy: bool
    #: user of its job, "" when idle
    user: str
    #: what keeps it within its reservation: enforced, told, observed
    limit: str = "observed"
    #: why it is down, or what is being done to it, for admins
    detail: str = ""

    @property
    def hold_bytes(self) -> int:
        """What it holds of its GPU: of a busy one what is promised or used, whichever is more."""
        return max(self.used_bytes, self.reserved_bytes) if self.busy else self.used_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSample:
    """An unfinished job. Never its prompt."""

    id: str
    prompt_id: str
    user: str
    state: str
    wait_reason: str
    wait_detail: str
    worker: str
    gpu: str
    #: server time since when it runs, or waits
    since_ms: int
    #: id of the GPU, worker or job in its way; "": none in particular
    wait_blocker: str = ""
    #: server time by which it starts as likely as not, and in 90 % of cases; 0: not foreseen
    start_p50_ms: int = 0
    start_p90_ms: int = 0
    lane: str = ""
    #: what it is promised while it runs, else what it needs; 0: nothing is counted
    bytes: int = 0
    #: run time that is expected, with its models loaded; 0: not known
    need_seconds: float = 0.0
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSample:
    """One user's numbers."""

    user: str
    queued: int
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedCounts:
    """Jobs that ended within the window."""

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Nothing new starts: why ("": nobody said), and until when (ms; 0: nobody knows)."""

    why: str
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One moment of a pool."""

    now_ms: int = field(compare=False)
    gpus: tuple[GpuSample, ...]
    workers: tuple[WorkerSample, ...]
    running: tuple[JobSample, ...]
    #: the first of each user
    waiting: tuple[JobSample, ...]
    queue: tuple[QueueSample, ...]
    #: by user
    ended: Mapping[str, EndedCounts]
    alerts: Badge = field(default_factory=Badge)
    #: None: prompts start
    closed: Closed | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """One user's queued jobs that no plan sees, because they are held."""

    user: str
    count: int
    #: the first of them
    jobs: tuple[Job, ...]


def condense(
    snapshot: Snapshot,
    ended: Mapping[str, EndedCounts],
    heartbeat_s: float,
    held: Sequence[Held] = (),
) -> Sample:
    """Make a sample.

    Args:
        snapshot: what a plan sees.
        ended: counts by user.
        heartbeat_s: after which silence an agent's figures are called old.
        held: queued jobs that no plan sees.
    """
    oldest_ms = snapshot.now_ms - int(heartbeat_s * 1000)
    users = {job.id: job.user for job in snapshot.active.values()}
    running = sorted(snapshot.active.values(), key=lambda job: (job.admitted_ms, job.id))
    waiting = sorted(
        (
            *(job for backlog in snapshot.backlogs for job in backlog.jobs[:MOST_SHOWN]),
            *(job for own in held for job in own.jobs[:MOST_SHOWN]),
        ),
        key=lambda job: (job.submitted_ms, job.number, job.id),
    )
    return Sample(
        now_ms=snapshot.now_ms,
        gpus=tuple(
            _gpu(gpu, [worker for worker in snapshot.workers if worker.gpu == gpu.id], oldest_ms)
            for gpu in sorted(snapshot.gpus, key=lambda gpu: (gpu.agent, gpu.index, gpu.id))
        ),
        workers=tuple(
            _worker(worker, users.get(worker.job, ""), oldest_ms)
            for worker in sorted(snapshot.workers, key=lambda worker: worker.id)
        ),
        running=tuple(_job(job, job.started_ms or job.admitted_ms) for job in running),
        waiting=tuple(_job(job, job.submitted_ms) for job in waiting),
        queue=_queue(snapshot, held),
        ended=dict(ended),
    )


def _queue(snapshot: Snapshot, held: Sequence[Held]) -> tuple[QueueSample, ...]:
    queued, running = Counter({own.user: own.count for own in held}), Counter[str]()
    for backlog in snapshot.backlogs:
        queued[backlog.user] += backlog.queued
        running[backlog.user] += backlog.running
    return tuple(
        QueueSample(user=user, queued=queued[user], running=running[user])
        for user in sorted({*queued, *running})
        if queued[user] or running[user]
    )


def _gpu(gpu: Gpu, workers: list[Worker], oldest_ms: int) -> GpuSample:
    return GpuSample(
        id=gpu.id,
        name=gpu.name,
        agent=gpu.agent,
        index=gpu.index,
        state=gpu.state.value,
        memory_source=gpu.memory_source.value,
        silent=gpu.heartbeat_ms < oldest_ms,
        total_bytes=gpu.total_bytes,
        foreign_bytes=gpu.foreign_bytes,
        resident_bytes=sum(worker.used_bytes for worker in workers if not worker.job),
        reserved_bytes=sum(worker.hold_bytes for worker in workers if worker.job),
        vitals=_rounded(gpu.vitals),
        rival=gpu.rival,
    )


def _rounded(vitals: Vitals) -> Vitals:
    """As fine as a page shows them: what only flickers is no news."""
    return replace(
        vitals,
        utilisation=None if vitals.utilisation is None else round(vitals.utilisation, 2),
        power_mw=None if vitals.power_mw is None else round(vitals.power_mw, -3),
    )


def _worker(worker: Worker, user: str, oldest_ms: int) -> WorkerSample:
    return WorkerSample(
        id=worker.id,
        agent=worker.agent,
        gpu=worker.gpu,
        state=worker.state.value,
        silent=worker.heartbeat_ms < oldest_ms,
        used_bytes=worker.used_bytes,
        reserved_bytes=worker.reserved_bytes,
        models=worker.models,
        busy=bool(worker.job),
        user=user,
        limit=worker.limit.value,
        detail=worker.detail,
    )


def _job(job: Job, since_ms: int) -> JobSample:
    return JobSample(
        id=job.id,
        prompt_id=job.prompt_id,
        user=job.user,
        state=job.state.value,
        wait_reason=job.wait_reason.value if job.wait_reason else "",
        wait_detail=_trial(job) if job.trial else job.wait_detail,
        worker=job.worker,
        gpu=job.gpu,
        since_ms=since_ms,
        wait_blocker=job.wait_blocker,
        start_p50_ms=job.start_p50_ms,
        start_p90_ms=job.start_p90_ms,
        lane=job.lane.value,
        bytes=job.reserved_bytes or job.need_bytes,
        need_seconds=job.need_seconds,
        attempt=job.attempt,
    )


def _trial(job: Job) -> str:
    """Why a running job has less than it could have."""
    gib = job.reserved_bytes / 2**30
    return f"runs with {gib:.1f} GiB in a quiet hour, to learn what less memory costs"


def keep_vitals(sample: Sample, old: Sample) -> Sample:
    """The sample with the GPUs' vitals of an older one."""
    known = {gpu.id: gpu.vitals for gpu in old.gpus}
    gpus = tuple(replace(gpu, vitals=known.get(gpu.id, gpu.vitals)) for gpu in sample.gpus)
    return replace(sample, gpus=gpus)
