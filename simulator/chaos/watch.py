"""Sees every call that the ledger serves, and checks all invariants after each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from scheduler.ledger import Admitted, Duplicate, Event, EventKind, Refusal, Submitted
from scheduler.memory_books import Books
from scheduler.states import TERMINAL, GpuState, Job, JobState
from simulator.chaos.balance import check_balance
from simulator.chaos.replay import Replay
from simulator.chaos.violation import Violation, require

#: calls of a leader, whose first argument is the epoch
_OF_LEADERS: Final = frozenset(
    {"admit", "preempt", "refuse", "release", "reap", "learn", "trim", "forget", "explain"}
)
_OF_ATTEMPTS: Final = frozenset({"claim", "renew", "settle"})
#: calls that change no job
_OF_DEVICES: Final = frozenset({"report", "lead", "resign", "released", "acknowledge", "explain"})


@dataclass(frozen=True, slots=True)
class Before:
    """The books before a call, as far as the checks after it need them."""

    last_event: str
    stale: bool
    lease: int | None


class Watch:
    """``Observer`` that raises ``Violation``.

    Args:
        finished: whether some worker really ran the job to its end.
        tell: takes a line of history.
        max_skips: how often a job may be passed at most.
    """

    def __init__(
        self,
        finished: Callable[[str], bool],
        tell: Callable[[str], None],
        max_skips: Callable[[], int],
    ) -> None:
        self._finished = finished
        self._tell = tell
        self._max_skips = max_skips
        self.replay = Replay()
        #: ended jobs and how, trimmed ones included
        self.ended: dict[str, JobState] = {}
        self._known: dict[str, Job] = {}
        self._keys: dict[tuple[str, str], str] = {}
        #: until when each active job's lease lasts, by what was said to the server
        self._leases: dict[str, int] = {}
        #: accepted jobs; and those of them that a restarted server knows nothing of
        self._submitted: set[str] = set()
        self._forgotten: set[str] = set()
        self._gone_users: dict[str, int] = {}
        self._gone_groups: dict[str, int] = {}
        #: admissions that were checked: a call that is said again finds other holds
        self._admitted: set[tuple[str, int, int]] = set()
        #: told of each reaped job: whether that was in order
        self.on_reap: Callable[[str], None] = lambda job_id: None
        self.broken: Violation | None = None
        self.on_broken: Callable[[], None] = lambda: None

    def lost_jobs(self) -> list[str]:
        """Accepted jobs that neither ended nor were forgotten by a restarted server."""
        return sorted(self._submitted - self._forgotten - self.ended.keys())

    # ── a restart ────────────────────────────────────────────────────────────

    def remember(self) -> Any:
        """What is known now."""
        return (
            self.replay.copy(),
            dict(self.ended),
            dict(self._known),
            dict(self._keys),
            dict(self._gone_users),
            dict(self._gone_groups),
            dict(self._leases),
        )

    def restore(self, books: Books, memory: Any) -> None:
        """The server forgot everything since then."""
        self.replay, self.ended, self._known, self._keys, *rest = memory
        self._gone_users, self._gone_groups, self._leases = rest
        self._forgotten |= self._submitted - self.replay.states.keys()
        self.guard(lambda: self._look(books))

    def guard(self, check: Callable[[], None]) -> None:
        """Run a check; remember the first violation and stop the world."""
        try:
            check()
        except Violation as violation:
            if self.broken is None:
                self.broken = violation
                self._tell(f"VIOLATION {violation}")
                self.on_broken()

    # ── each call ────────────────────────────────────────────────────────────

    def before(self, books: Books, name: str, args: tuple[Any, ...]) -> Before:
        """Note what the call must not change if it is stale."""
        stale, lease = False, None
        if name in _OF_LEADERS:
            stale = args[0] != books.epoch
        elif name in _OF_ATTEMPTS:
            record = books.records.get(args[0])
            stale = record is None or (record.job.attempt != args[1] and record.closed != args[1])
            lease = books.inflight.get(args[0])
        return Before(books.stream.last_id, stale, lease)

    def after(
        self, books: Books, name: str, args: tuple[Any, ...], reply: Any, seen: Before
    ) -> None:
        """Check everything that the call may have broken."""
        self.guard(lambda: self._after(books, name, args, reply, seen))

    def _after(
        self, books: Books, name: str, args: tuple[Any, ...], reply: Any, seen: Before
    ) -> None:
        if seen.stale:
            self._check_stale(books, name, args, reply, seen)
        events = self.replay.follow(books)
        for event in events:
            self._take(event)
        match name:
            case "admit":
                self._check_admission(books, args, reply)
                if isinstance(reply, Admitted):
                    self._leases.setdefault(args[1].id, books.clock_ms() + args[-1])
            case "submit":
                self._check_key(books, args[0], reply)
            case "reap":
                for reaped in reply:
                    self._check_reaped(books, reaped.job_id)
            case "claim" | "renew" if not isinstance(reply, Refusal):
                self._leases[args[0]] = books.clock_ms() + args[-1]
        if events or name not in _OF_DEVICES:
            self._look(books, trimmed=name == "trim")

    def _check_stale(
        self, books: Books, name: str, args: tuple[Any, ...], reply: Any, seen: Before
    ) -> None:
        what = f"a stale {name}{args[:2]} answered {reply}"
        require(books.stream.last_id == seen.last_event, f"{what} and changed something [I9]")
        if name in _OF_ATTEMPTS:
            require(isinstance(reply, Refusal), f"{what} [I9]")
            require(books.inflight.get(args[0]) == seen.lease, f"{what} and moved a lease [I9]")

    def _take(self, event: Event) -> None:
        state = event.state.value if event.state else ""
        where = event.worker or event.gpu
        words = (event.kind.value, event.job[:8], event.attempt or "", state, where, event.reason)
        self._tell(" ".join(str(word) for word in words if word))
        if event.kind is EventKind.REQUEUED and event.reason != "lost":
            self._leases.pop(event.job, None)
        if event.kind is not EventKind.SETTLED or event.state is None:
            return
        self._leases.pop(event.job, None)
        require(event.job not in self.ended, f"{event.job}: it ended twice [I6]")
        self.ended[event.job] = event.state
        if event.state is JobState.SUCCEEDED:
            require(self._finished(event.job), f"{event.job}: SUCCEEDED, and no worker finished it")

    def _check_admission(self, books: Books, args: tuple[Any, ...], reply: Any) -> None:
        if not isinstance(reply, Admitted):
            return
        _, job, worker, grant, _ = args
        known = books.records[job.id].job
        if (known.state, known.attempt) != (JobState.RESERVED, reply.attempt):
            return  # said again later
        admission = (job.id, reply.attempt, known.admitted_ms)
        if admission in self._admitted:
            return  # said again at once
        self._admitted.add(admission)
        now, found = books.clock_ms(), books.workers[worker.id]
        silent = now - found.heartbeat_ms
        require(silent <= books.heartbeat_ms, f"{job.id}: {worker.id} is silent for {silent} ms")
        if not known.gpu:
            return
        gpu = books.gpus[known.gpu]
        require(gpu.state is GpuState.READY, f"{job.id}: admitted to a suspected GPU")
        held = books.holds_of(known.gpu).sum(but=worker.id) + known.reserved_bytes
        fits = not grant.capacity_bytes or held <= grant.capacity_bytes
        require(fits, f"{job.id}: {held} of {grant.capacity_bytes} bytes are held [I1]")

    def _check_reaped(self, books: Books, job_id: str) -> None:
        self.on_reap(job_id)
        left = self._leases.pop(job_id, 0) - books.clock_ms()
        require(left <= 0, f"{job_id}: reaped {left} ms before its lease was over")

    def _check_key(self, books: Books, job: Any, reply: Any) -> None:
        if isinstance(reply, Submitted):
            self._submitted.add(job.id)
            self._forgotten.discard(job.id)
        if not job.idempotency_key:
            return
        key = (job.user, job.idempotency_key)
        known = self._keys.get(key)
        if isinstance(reply, Submitted):
            double = known is not None and known != job.id and known in books.records
            require(not double, f"{job.id} and {known} have one key [I10]")
            self._keys[key] = job.id
        elif isinstance(reply, Duplicate) and reply.same_key and known is not None:
            require(reply.job_id == known, f"{key} is {known}, answered {reply.job_id} [I10]")

    # ── the books as a whole ─────────────────────────────────────────────────

    def _look(self, books: Books, *, trimmed: bool = False) -> None:
        if trimmed:
            for job_id in [job_id for job_id in self._known if job_id not in books.records]:
                self._bury(self._known.pop(job_id))
        check_balance(books, self._gone_users, self._gone_groups)
        self.replay.check(books)
        most = self._max_skips() + len(books.workers)
        for job_id, record in books.records.items():
            job, before = record.job, self._known.get(job_id)
            if job is before:
                continue
            if before is not None:
                _check_step(before, job)
            require(job.skips <= most, f"{job_id}: passed {job.skips} times, {most} are allowed")
            self._known[job_id] = job

    def _bury(self, job: Job) -> None:
        require(job.state in TERMINAL, f"{job.id}: trimmed as {job.state}")
        users, groups = self._gone_users, self._gone_groups
        users[job.user] = users.get(job.user, 0) + job.user_cost
        groups[job.group] = groups.get(job.group, 0) + job.group_cost


def _check_step(before: Job, job: Job) -> None:
    grows = job.rev >= before.rev and job.attempt >= before.attempt
    require(grows, f"{job.id}: rev or attempt fell [I7]")
    absorbed = before.state not in TERMINAL or job.state is before.state
    require(absorbed, f"{job.id}: left {before.state} [I6]")
    paid = job.user_cost >= before.user_cost and job.group_cost >= before.group_cost
    require(paid, f"{job.id}: a cost fell [I11]")
