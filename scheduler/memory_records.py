"""What the in-memory ledger remembers of each job, user, group and worker.

The records change in place; what leaves the ledger are the frozen nouns of
``scheduler.states``, made anew only after a change.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Any, Final

from scheduler.bookkeeping import changed
from scheduler.ledger_values import FileRecord
from scheduler.memory_turns import Turns
from scheduler.states import Backlog, Job, JobState, MemoryLimit, Worker, WorkerState

#: what is told of a waiting job, when it no longer waits or for another reason
UNSAID: Final[Mapping[str, Any]] = {
    "wait_reason": None,
    "wait_detail": "",
    "wait_blocker": "",
    "start_p50_ms": 0,
    "start_p90_ms": 0,
}


class JobRecord:
    """One job, and what the ledger keeps of it beside the noun."""

    __slots__ = (
        "_job",
        "agent",
        "born",
        "call",
        "closed",
        "closed_as",
        "key",
        "learned",
        "outputs",
        "skips",
    )

    def __init__(self, job: Job, born: str, key: str) -> None:
        self._job = job
        #: counted here at each admission past it, put into the noun when somebody looks
        self.skips = job.skips
        self.born = born
        self.call = ""
        #: idempotency key, "" for none
        self.key = key
        #: whose worker it is on
        self.agent = ""
        #: the attempt that its agent closed last, and what became of the job then
        self.closed: int | None = None
        self.closed_as = JobState.QUEUED
        self.learned: int | None = None
        #: fields of the user's files that it named
        self.outputs: set[str] = set()

    @property
    def job(self) -> Job:
        """The noun, up to date."""
        if self._job.skips != self.skips:
            self._job = changed(self._job, skips=self.skips)
        return self._job

    @property
    def user(self) -> str:
        """Whose it is."""
        return self._job.user

    @property
    def waits(self) -> bool:
        """Whether it is QUEUED and may start."""
        return self._job.state is JobState.QUEUED and not self._job.held

    def change(self, **changes: Any) -> Job:
        """Write fields of the noun."""
        self._job = changed(self._job, skips=self.skips, **changes)
        return self._job


class UserRecord:
    """One user's queue, counters and lists of ended jobs."""

    __slots__ = (
        "active",
        "backlog",
        "changed",
        "charged",
        "counters",
        "done",
        "files",
        "group",
        "held",
        "hidden",
        "keys",
        "last_admitted_ms",
        "listed",
        "name",
        "number",
        "origins",
        "prompt_ids",
        "queue",
        "virtual",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.group = ""
        self.number = 0
        #: names the last change of any of the user's jobs
        self.changed = ""
        self.last_admitted_ms = 0
        #: microseconds of a whole GPU by weight: with lifts, and without
        self.virtual = 0
        self.charged = 0
        #: (number, id) of QUEUED jobs, first to start first; and of held ones
        self.queue: list[tuple[int, str]] = []
        self.held: list[tuple[int, str]] = []
        #: active jobs in the order they were admitted
        self.active: dict[str, None] = {}
        #: prompt_id → (number, id); idempotency key → (number, id, prompt_id)
        self.prompt_ids: dict[str, tuple[int, str]] = {}
        self.keys: dict[str, tuple[int, str, str]] = {}
        #: ended jobs by settle event: those that the history shows, and the others
        self.done: dict[str, int] = {}
        self.hidden: dict[str, int] = {}
        #: the user's name of an output → record, number of naming, job
        self.files: dict[str, tuple[FileRecord, int, str]] = {}
        self.origins: dict[tuple[str, str, str, str, str], str] = {}
        self.counters: dict[str, int] = {}
        #: as the last snapshot showed it; None: it has changed since
        self.backlog: Backlog | None = None
        #: True: among those that a snapshot shows
        self.listed = False

    @property
    def unfinished(self) -> int:
        """Jobs that have not ended."""
        return len(self.queue) + len(self.held) + len(self.active)


def insert(places: list[tuple[int, str]], number: int, job_id: str) -> None:
    """Put a job at its place."""
    insort(places, (number, job_id))


def remove(places: list[tuple[int, str]], number: int, job_id: str) -> None:
    """Take a job from its place, if it is there."""
    at = bisect_left(places, (number, job_id))
    if at < len(places) and places[at] == (number, job_id):
        del places[at]


class GroupRecord:
    """One group's counters, and its users' turns."""

    __slots__ = ("charged", "clock", "turns", "virtual")

    def __init__(self) -> None:
        self.virtual = 0
        self.charged = 0
        #: counter of the last user that had a turn here
        self.clock = 0
        self.turns = Turns()


class WorkerRecord:
    """One worker, as reported, and what the ledger knows of it."""

    __slots__ = (
        "agent",
        "call",
        "catalogue",
        "detail",
        "failed_job",
        "failed_ms",
        "failures",
        "gpu",
        "has_probe",
        "heartbeat_ms",
        "host_used_bytes",
        "id",
        "job",
        "limit",
        "loaded",
        "models",
        "noun",
        "state",
        "told_ms",
    )

    def __init__(self, worker_id: str) -> None:
        self.id = worker_id
        self.agent = ""
        self.gpu = ""
        self.state = WorkerState.READY
        self.models: tuple[str, ...] = ()
        self.heartbeat_ms = 0
        self.has_probe = False
        self.limit = MemoryLimit.OBSERVED
        self.host_used_bytes = 0
        self.job = ""
        self.failures = 0
        self.failed_ms = 0
        #: the job that failed here last
        self.failed_job = ""
        #: when its agent was last told to release
        self.told_ms = 0
        self.catalogue = ""
        self.detail = ""
        self.loaded = ""
        self.call = ""
        #: as the last snapshot showed it; None: it has changed since
        self.noun: Worker | None = None

    def seen(self, used: int, reserved: int) -> Worker:
        """The noun, with its GPU's holds."""
        self.noun = Worker(
            id=self.id,
            agent=self.agent,
            gpu=self.gpu,
            state=self.state,
            used_bytes=used,
            models=self.models,
            heartbeat_ms=self.heartbeat_ms,
            job=self.job,
            reserved_bytes=reserved,
            has_probe=self.has_probe,
            limit=self.limit,
            host_used_bytes=self.host_used_bytes,
            failures=self.failures,
            failed_ms=self.failed_ms,
            catalogue=self.catalogue,
            detail=self.detail,
            loaded=self.loaded,
        )
        return self.noun


class Holds:
    """What each worker of one GPU uses, and what it is promised."""

    __slots__ = ("reserved", "used")

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.reserved: dict[str, int] = {}

    def sum(self, *, but: str = "") -> int:
        """Bytes that all workers (but one) hold: the larger of use and promise each."""
        used, reserved = self.used, self.reserved
        total = 0
        for worker in used.keys() | reserved.keys():
            if worker != but:
                total += max(used.get(worker, 0), reserved.get(worker, 0))
        return total
