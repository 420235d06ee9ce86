"""Who goes next and where: ``plan`` (pure).

``plan`` sees one snapshot and answers with decisions; it promises nothing.
Whoever commits them goes through the ledger, which checks everything again.

The order: users take turns, the one served longest ago first; a user's own
jobs keep their order. Caps are filters. A job whose estimate exceeds every GPU
runs alone with a whole one. When only idle residency is in the way it is
released first. A job that has waited for ``patience_ms`` in vain gets a GPU
kept free for it, so that small jobs cannot pass it for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from scheduler.placement import Offer, Room, Safety
from scheduler.states import Backlog, GpuState, Job, Snapshot, WaitReason, Worker, WorkerState

#: What a head that lacks room was last told. All workers are busy most of the time in a
#: full pool, so that one passed over says NO_WORKER as often as NO_HEADROOM.
_BLOCKED: Final = frozenset({WaitReason.NO_HEADROOM, WaitReason.RELEASING, WaitReason.NO_WORKER})


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one user or group; None: no cap."""

    max_running: int | None = None
    #: share (0–1] of the pool's capacity that running jobs may be promised
    vram_share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanConfig:
    """What an admin set, as the plan needs it."""

    safety: Safety
    users: Mapping[str, Limits] = field(default_factory=dict)
    groups: Mapping[str, Limits] = field(default_factory=dict)
    #: a job passed over for this long has a GPU kept free for it
    patience_ms: int = 60_000
    #: bytes each worker still held after its last release
    floors: Mapping[str, int] = field(default_factory=dict)
    #: workers and GPUs silent for longer take no job, as ``admit`` would refuse it
    heartbeat_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Admit:
    """Start this job there, with this many bytes promised."""

    job: Job
    worker: Worker
    bytes: int
    capacity_bytes: int


@dataclass(frozen=True, slots=True)
class Release:
    """Make this idle worker give its residency back."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class Wait:
    """Tell the user why this job has not started."""

    job: Job
    reason: WaitReason
    detail: str


Decision = Admit | Release | Wait


def plan(snapshot: Snapshot, config: PlanConfig) -> list[Decision]:
    """Decide for every queued job in the snapshot: start it, or say why not."""
    return _Planner(snapshot, config).run()


class _Planner:
    """The state of one plan: the room left and what was given to whom so far."""

    def __init__(self, snapshot: Snapshot, config: PlanConfig) -> None:
        self._snapshot = snapshot
        self._config = config
        self._room = Room(snapshot, config.safety, config.floors, heartbeat_ms=config.heartbeat_ms)
        self._decisions: list[Decision] = []
        self._running = {backlog.user: backlog.running for backlog in snapshot.backlogs}
        self._group_running: dict[str, int] = {}
        self._group_bytes: dict[str, int] = {}
        for job in snapshot.active.values():
            self._count(job.group, job.reserved_bytes)

    def run(self) -> list[Decision]:
        self._keep_room_for_the_passed_over()
        queues = {b.user: list(b.jobs) for b in self._turns() if b.jobs}
        while queues:
            for user in list(queues):
                head = queues[user][0]
                wait = self._try(head)
                if wait is None:
                    queues[user].pop(0)
                    if queues[user]:
                        continue
                else:
                    self._say_waits(queues[user], wait)
                del queues[user]
        return self._decisions

    def _turns(self) -> list[Backlog]:
        return sorted(self._snapshot.backlogs, key=lambda b: (b.last_admitted_ms, b.user))

    def _count(self, group: str, reserved_bytes: int) -> None:
        self._group_running[group] = self._group_running.get(group, 0) + 1
        self._group_bytes[group] = self._group_bytes.get(group, 0) + reserved_bytes

    def _say_waits(self, queue: list[Job], head: Wait) -> None:
        self._decisions.append(head)
        for place, job in enumerate(queue[1:], start=1):
            earlier = "1 earlier prompt" if place == 1 else f"{place} earlier prompts"
            detail = f"{earlier} of the same user go{'es' if place == 1 else ''} first"
            reason = head.reason if head.reason is WaitReason.CAP else WaitReason.FAIRNESS
            self._decisions.append(Wait(job, reason, detail))

    def _try(self, job: Job) -> Wait | None:
        """Admit the job, or say why not."""
        capped = self._capped(job)
        if capped is not None:
            return capped
        offers = self._room.offers(job)
        if offers:
            self._admit(job, offers[0])
            return None
        return self._blocked(job)

    def _admit(self, job: Job, offer: Offer) -> None:
        self._room.take(job, offer)
        self._running[job.user] = self._running.get(job.user, 0) + 1
        self._count(job.group, offer.bytes)
        self._decisions.append(Admit(job, offer.worker, offer.bytes, offer.capacity_bytes))

    def _capped(self, job: Job) -> Wait | None:
        user = self._config.users.get(job.user, Limits())
        running = self._running.get(job.user, 0)
        if user.max_running is not None and running >= user.max_running:
            text = f"{running} of the user's prompts are running; {user.max_running} may"
            return Wait(job, WaitReason.CAP, text)
        group = self._config.groups.get(job.group, Limits())
        together = self._group_running.get(job.group, 0)
        if group.max_running is not None and together >= group.max_running:
            text = f"{together} prompts of group {job.group} are running; {group.max_running} may"
            return Wait(job, WaitReason.CAP, text)
        if group.vram_share is not None:
            return self._over_share(job, group.vram_share)
        return None

    def _over_share(self, job: Job, share: float) -> Wait | None:
        allowed = int(share * sum(self._room.capacity(gpu.id) for gpu in self._room.gpus))
        held = self._group_bytes.get(job.group, 0)
        # The first job of a group may pass its share: a share smaller than any job would
        # otherwise be a ban.
        if held and held + job.need_bytes > allowed:
            text = (
                f"group {job.group} holds {gib(held)} of the {gib(allowed)} it may; "
                f"this prompt needs {gib(job.need_bytes)}"
            )
            return Wait(job, WaitReason.CAP, text)
        return None

    def _blocked(self, job: Job) -> Wait:
        """No worker can take the job now: release what helps, and say what is missing."""
        room = self._room
        if not room.idle(needs_gpu=job.needs_gpu):
            return self._nobody_free(job)
        releases = room.releases_for(job)
        for worker in releases:
            room.start_release(worker)
            self._decisions.append(Release(worker))
        if releases or room.releasing_helps(job):
            return Wait(job, WaitReason.RELEASING, "idle workers are giving memory back")
        if room.keeps_from(job):
            text = "a prompt that has waited longer gets the next GPU that comes free"
            return Wait(job, WaitReason.HELD_FOR_HEAD, text)
        return Wait(job, WaitReason.NO_HEADROOM, self._shortage(job))

    def _nobody_free(self, job: Job) -> Wait:
        usable = self._room.up(needs_gpu=job.needs_gpu)
        if not usable:
            which = "with a GPU " if self._room.up(needs_gpu=False) else ""
            return Wait(job, WaitReason.NO_WORKER, f"no worker {which}is up; the admins see why")
        suspect = [gpu for gpu in self._room.gpus if gpu.state is GpuState.SUSPECT]
        if suspect and all(w.gpu in {gpu.id for gpu in suspect} for w in usable if not w.job):
            names = ", ".join(sorted(gpu.name for gpu in suspect))
            return Wait(job, WaitReason.GPU_SUSPECT, f"memory of {names} cannot be read")
        if any(w.state is WorkerState.RELEASING for w in usable):
            return Wait(job, WaitReason.RELEASING, "idle workers are giving memory back")
        busy = sum(1 for worker in usable if worker.job)
        return Wait(job, WaitReason.NO_WORKER, f"all workers are busy ({busy} of {len(usable)})")

    def _shortage(self, job: Job) -> str:
        rooms = [self._room.headroom(w) for w in self._room.idle(needs_gpu=True) if w.gpu]
        best = max(0, max(rooms, default=0))
        if self._room.wants_a_whole_gpu(job):
            return (
                f"needs {gib(job.need_bytes)}, more than any GPU can promise "
                f"({gib(self._room.largest_capacity())}): waits for a whole GPU"
            )
        return f"needs {gib(job.need_bytes)}, {gib(best)} free"

    def _keep_room_for_the_passed_over(self) -> None:
        """Give the longest-waiting starving head first pick, and a GPU if it cannot start."""
        late = self._snapshot.now_ms - self._config.patience_ms
        starving = [
            backlog.jobs[0]
            for backlog in self._snapshot.backlogs
            if backlog.jobs
            and backlog.jobs[0].submitted_ms <= late
            and backlog.jobs[0].wait_reason in _BLOCKED
            and self._capped(backlog.jobs[0]) is None
        ]
        if not starving:
            return
        job = min(starving, key=lambda job: (job.submitted_ms, job.id))
        if self._room.offers(job) or self._room.releases_for(job):
            return
        gpu = self._gpu_freed_soonest(job)
        if gpu is not None:
            self._room.keep(gpu, job)

    def _gpu_freed_soonest(self, job: Job) -> str | None:
        """The GPU that could hold the job with the fewest running bytes in the way."""
        whole = self._room.wants_a_whole_gpu(job)
        served = [gpu for gpu in self._room.gpus if self._room.serves(gpu.id)]
        fits = [g for g in served if whole or self._room.capacity(g.id) >= job.need_bytes]
        if not fits:
            return None

        def in_the_way(gpu_id: str) -> int:
            return sum(w.reserved_bytes for w in self._room.on(gpu_id))

        return min(fits, key=lambda gpu: (in_the_way(gpu.id), gpu.id)).id


def gib(bytes_: int) -> str:
    """``9867108352`` → ``"9.2 GiB"``, for people."""
    return f"{bytes_ / 2**30:.1f} GiB"
