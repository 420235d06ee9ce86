"""Who goes next and where: ``plan`` (pure).

``plan`` sees one snapshot and answers with decisions; it promises nothing.
Whoever commits them goes through the ledger, which checks everything again.

Each waiting user (and lane) makes one *offer* at a time: the job of theirs that
could start best, and where. The offer with the least key is admitted, the user
pays, and makes the next one. The key is the fair counters plus the seconds of
loading that the offer costs the pool: a cold job goes before a warm one only
when its user is that much further behind. What keeps this from starving anybody:
a job passed ``max_skips`` times or for ``aging_ms`` goes before all counters and
has a place kept for it (``shadow``), within which nothing else may run late.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from scheduler.caps import Caps, gib
from scheduler.decisions import Admit, Decision, Plan, Refuse, Release, Reserve, Wait
from scheduler.fairness import MICROS, Counters, charge, dominant_share
from scheduler.hosts import Hosts
from scheduler.ledger_values import Grant
from scheduler.placement import Room, Seat
from scheduler.plan_config import PlanConfig
from scheduler.preemption import preemptions
from scheduler.quarantine import gpu_rests_until, rests_until
from scheduler.releases import cheapest_way, under_way
from scheduler.reservation import choose_step, fitting_bytes, seconds_with
from scheduler.shadow import Shadow, cast_shadow
from scheduler.shortage import nobody_free, shortage
from scheduler.states import Backlog, FailReason, Job, Lane, Snapshot, WaitReason
from scheduler.warmth import Warmth, load_seconds, main_model

#: Of one user's jobs, so many with different models are tried cold before giving up.
_COLD_TRIES: Final = 4
#: Waiting jobs looked at when a smaller reservation is weighed against one more beside it.
_BESIDE: Final = 8
#: Blocked jobs for which one plan starts releases.
_MOST_RELEASES: Final = 4


@dataclass(frozen=True, slots=True)
class _Start:
    """A job that could start: where, with how much, and what it must load there."""

    job: Job
    seat: Seat
    most: int
    load: float
    #: expected seconds of loading that it costs the pool, evicted models included
    cost: float


@dataclass(slots=True, eq=False)
class _Line:
    """One user's waiting jobs of one lane."""

    backlog: Backlog
    lane: Lane
    jobs: list[Job]
    start: _Start | None = None
    wait: Wait | None = None
    #: the picture (``_Planner.stamp``) that ``start`` and ``wait`` are true of
    stamp: int = -1
    forced: bool = field(default=False)

    @property
    def head(self) -> Job:
        return self.jobs[0]


def plan(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
    """Decide what to start, release, keep free, interrupt or end.

    Args:
        snapshot: the pool and its queues as the ledger knows them.
        now_ms: server time.
        config: what the admin set and the leader knows.
    """
    return _Planner(snapshot, now_ms, config).run()


class _Planner:
    """One plan in the making: the room left, and what was given to whom so far."""

    def __init__(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> None:
        self._snapshot = snapshot
        self._now = now_ms
        self._config = config
        self._room = Room(
            snapshot,
            now_ms,
            config.safety,
            floors=dict(config.floors),
            heartbeat_ms=config.heartbeat_ms,
            resigned_ms=config.resigned_ms,
        )
        self._decisions: list[Decision] = []
        self._blocked: dict[str, Wait] = {}
        self._again = 0
        self._stamp = 0
        self._shadows: list[Shadow] = []
        self._idle = self._rested(self._room.idle())
        self._gpu_pool = any(worker.gpu for worker in snapshot.workers)
        self._counters = Counters(snapshot.backlogs, snapshot.groups, config.users, config.groups)
        self._caps = Caps(config, snapshot.active.values(), self._pool_bytes())
        self._releases = 0
        self._busy_texts: dict[bool, Wait] = {}

    def _pool_bytes(self) -> int:
        return sum(card.capacity for card in self._room.cards.values())

    def run(self) -> Plan:
        self._lines = self._open_lines()
        if self._idle:
            self._prepare()
            self._serve()
        else:
            for line in self._lines:
                self._block(line, self._nobody_free(line.head))
        self._decisions += preemptions(
            self._snapshot, self._now, self._config, list(self._blocked.values())
        )
        return Plan(tuple(self._decisions), self._blocked, self._again)

    # ── the queues ───────────────────────────────────────────────────────────

    def _open_lines(self) -> list[_Line]:
        """The users that this plan looks at: those next by counters, and whoever is forced."""
        waiting = [backlog for backlog in self._snapshot.backlogs if backlog.jobs]
        order = self._counters.order
        next_ones = heapq.nsmallest(self._config.heads, waiting, key=order)
        chosen = {id(backlog) for backlog in next_ones}
        late = [b for b in waiting if id(b) not in chosen and self._is_forced(b.jobs[0], b)]
        lines: list[_Line] = []
        for backlog in (*next_ones, *late):
            jobs = [job for job in backlog.jobs if not self._expired(job)]
            for lane in (Lane.INTERACTIVE, Lane.BATCH):
                own = [job for job in jobs if job.lane is lane]
                if not own:
                    continue
                line = _Line(backlog, lane, own)
                if lane is Lane.BATCH and self._config.hold_batch:
                    text = "batch prompts wait: a peak of interactive work is expected"
                    self._block(line, Wait(own[0], WaitReason.HELD_FOR_HEAD, text))
                    continue
                line.forced = self._is_forced(own[0], backlog)
                lines.append(line)
        return lines

    def _expired(self, job: Job) -> bool:
        if not job.deadline_ms:
            return False
        if job.deadline_ms > self._now:
            self._look_again(job.deadline_ms)
            return False
        waited = (self._now - job.submitted_ms) / 1000
        text = (
            f"The prompt was not started before its deadline: it had waited {waited:.0f} s. "
            "Send it again with a later deadline_s, or without one."
        )
        self._decisions.append(Refuse(job, FailReason.EXPIRED, text))
        return True

    def _is_forced(self, job: Job, backlog: Backlog) -> bool:
        if job.skips >= self._config.max_skips:
            return True
        due = job.submitted_ms + self._config.aging_ms
        if due <= self._now:
            return True
        self._look_again(due)
        return False

    def _look_again(self, at_ms: int) -> None:
        if at_ms > self._now and (not self._again or at_ms < self._again):
            self._again = at_ms

    # ── serving ──────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        self._warmth = Warmth(
            self._room.seats.values(),
            self._config.demand,
            lambda: (job for line in self._lines for job in line.jobs),
        )
        self._hosts = Hosts(self._snapshot.agents)
        if self._hosts.known:
            for job in self._snapshot.active.values():
                seat = self._room.seats.get(job.worker)
                if seat is not None:
                    self._hosts.run(job, seat)

    def _serve(self) -> None:
        """Admit the offer with the least key until nobody has one.

        A line stands in the heap with the key of its last offer, at first with that
        of one that costs nothing: no offer is worked out before it could be the best.
        """
        heap = [(self._key(line), number, line) for number, line in enumerate(self._lines)]
        heapq.heapify(heap)
        while heap and self._idle:
            key, number, line = heapq.heappop(heap)
            if line.stamp != self._stamp:
                self._offer(line)
                if heap and self._key(line) > key and heap[0][0] < self._key(line):
                    heapq.heappush(heap, (self._key(line), number, line))
                    continue
            if line.start is None:
                self._settle_blocked(line)
                continue
            self._admit(line, line.start)
            if line.jobs:
                line.forced = self._is_forced(line.head, line.backlog)
                line.start = None
                heapq.heappush(heap, (self._key(line), number, line))
        for _, _, line in heap:
            self._block(line, self._nobody_free(line.head))

    def _nobody_free(self, job: Job) -> Wait:
        """That no worker is idle, worded once per kind of job."""
        known = self._busy_texts.get(job.needs_gpu)
        if known is None:
            known = nobody_free(job, self._room, self._config, self._now)
            self._busy_texts[job.needs_gpu] = known
        return replace(known, job=job)

    def _key(self, line: _Line) -> tuple[object, ...]:
        """Forced ones first, oldest first; then lanes; then counters with the cost of loading."""
        if line.forced:
            return (0, line.head.submitted_ms, line.head.id)
        cost = int(line.start.cost * MICROS) if line.start else 0
        group, user, last, name = self._counters.order(line.backlog)
        several = cost if len(self._snapshot.groups) > 1 else 0
        return (1, line.lane is Lane.BATCH, group + several, user + cost, last, name)

    def _admit(self, line: _Line, start: _Start) -> None:
        job, seat = start.job, start.seat
        head = line.head
        line.jobs.remove(job)
        self._idle.remove(seat)
        step = choose_step(job, seat, start.most, self._beside(job))
        seconds = start.load + (step.seconds if step.bytes < job.need_bytes else job.need_seconds)
        grant = self._grant(line, job, seat, step.bytes, max(seconds, 0.001), start.load)
        if head is not job:
            grant = replace(grant, passed=(*grant.passed, head.id))
        late = start.load + max(job.late_seconds, seconds - start.load)
        seat.take(job, step.bytes, self._at(seconds), self._at(late))
        if start.load and seat.card is not None:
            seat.card.loading += 1
        self._warmth.taken(seat)
        self._hosts.run(job, seat)
        self._caps.count(job, step.bytes)
        self._counters.pay(line.backlog, grant.user_charge, grant.group_charge)
        self._decisions.append(Admit(job, seat.worker, grant))
        self._shadows = [shadow for shadow in self._shadows if shadow.job is not job]
        self._stamp += 1

    def _grant(
        self, line: _Line, job: Job, seat: Seat, bytes_: int, seconds: float, load: float
    ) -> Grant:
        card = seat.card
        capacity = card.capacity if card is not None and bytes_ else 0
        share = dominant_share(bytes_, capacity, len(card.seats) if card is not None else 1)
        return Grant(
            bytes=bytes_,
            capacity_bytes=capacity,
            seconds=seconds,
            load_seconds=load,
            user_charge=charge(share, seconds, self._counters.weight(job.user)),
            group_charge=charge(share, seconds, self._counters.group_weight(job.group)),
            passed=self._passed(line),
        )

    def _passed(self, line: _Line) -> tuple[str, ...]:
        """The job that is next by the counters alone, when another line's goes before it."""
        if line.forced:
            return ()
        others = [other for other in self._lines if other.jobs and other.lane is line.lane]
        first = min(others, key=lambda other: self._counters.order(other.backlog), default=line)
        if first is line or (first.wait is not None and first.wait.reason is WaitReason.CAP):
            return ()
        return (first.head.id,)

    def _at(self, seconds: float) -> int:
        return self._now + int(seconds * 1000)

    def _beside(self, job: Job) -> list[int]:
        """Least bytes of the next jobs that may start soon, for ``choose_step``."""
        found: list[int] = []
        for line in self._lines:
            for other in line.jobs[:2]:
                if other is not job and other.need_bytes:
                    found.append(other.curve[0].bytes if other.curve else other.need_bytes)
            if len(found) >= _BESIDE:
                break
        return found

    # ── one line's offer ─────────────────────────────────────────────────────

    def _offer(self, line: _Line) -> None:
        """Find what the line could start now, or why nothing."""
        line.stamp = self._stamp
        line.start, line.wait = None, None
        head = line.head
        if not self._idle:
            line.wait = self._nobody_free(head)
            return
        line.wait = self._caps.over(head)
        if line.wait is not None:
            return
        alone = self._config.strict_order or line.forced
        jobs = line.jobs[:1] if alone else line.jobs
        line.start = self._warm_start(jobs) or self._cold_start(line, jobs)

    def _warm_start(self, jobs: Iterable[Job]) -> _Start | None:
        """The first of these jobs whose main model waits on an idle worker."""
        idle = self._warmth.idle
        for job in jobs:
            seats = idle.get(main_model(job)) if job.models else None
            if not seats:
                continue
            found = [s for s in (self._start(job, seat) for seat in seats) if s is not None]
            if found:
                return min(found, key=lambda start: (start.cost, start.seat.order))
        return None

    def _cold_start(self, line: _Line, jobs: Iterable[Job]) -> _Start | None:
        """The first of these jobs for which loading now beats waiting for a warm worker."""
        tried: set[str] = set()
        for job in jobs:
            model = main_model(job)
            if model in tried or len(tried) >= _COLD_TRIES:
                continue
            tried.add(model)
            soon = None if line.forced else self._warm_soon(line, job, model)
            if soon is None:
                found = [s for s in (self._start(job, seat) for seat in self._idle) if s]
                if found:
                    return min(found, key=lambda start: self._preference(job, start))
                soon = self._why_no_room(job)
            if line.wait is None:
                line.wait = soon
        return None

    def _preference(self, job: Job, start: _Start) -> tuple[object, ...]:
        """No GPU for who needs none; then least cost; then the emptiest GPU, the least evicted."""
        seat = start.seat
        on_gpu = seat.card is not None
        spare = seat.headroom if on_gpu else 0
        return (not job.needs_gpu and on_gpu, start.cost, seat.used, -spare, seat.order)

    def _warm_soon(self, line: _Line, job: Job, model: str) -> Wait | None:
        """Workers that have the model could take all of the line's jobs sooner than it is loaded."""
        if not model:
            return None
        at = self._warmth.last_start(model, self._alike(line, model), job.need_seconds)
        if at is None or at - self._now > load_seconds(job, ()) * 1000:
            return None
        seconds = max(0, at - self._now) / 1000
        text = f"workers that have its models loaded should be free within {seconds:.0f} s"
        return Wait(job, WaitReason.WARM_SOON, text)

    def _alike(self, line: _Line, model: str) -> int:
        """Jobs of the line that need the same model."""
        return sum(1 for job in line.jobs if main_model(job) == model)

    def _start(self, job: Job, seat: Seat) -> _Start | None:
        """The job on this seat, or None where it may not or does not fit."""
        if seat.job or not self._may_use(job, seat):
            return None
        if seat.card is None or not job.needs_gpu or not job.need_bytes:
            most: int | None = 0
        else:
            most = fitting_bytes(job, seat, self._room)
        if most is None or not self._hosts.fits(job, seat):
            return None
        load = load_seconds(job, seat.models)
        if load and seat.card is not None and seat.card.loading >= self._config.cold_loads:
            return None
        if not self._respects_shadows(job, seat, most, load):
            return None
        return _Start(job, seat, most, load, load + self._eviction(job, seat, most))

    def _may_use(self, job: Job, seat: Seat) -> bool:
        if job.needs_gpu and self._gpu_pool and not seat.worker.gpu:
            return False
        return self._caps.allowed(job, seat)

    def _eviction(self, job: Job, seat: Seat, most: int) -> float:
        """Seconds of loading again that are lost when the job pushes other models out."""
        if not seat.models or not most:
            return 0.0
        stays = max(0, seat.used - seat.floor)
        gone = stays + job.need_bytes - max(most, seat.used)
        if set(job.models) <= set(seat.models):
            return 0.0
        return self._warmth.loss(seat, gone, job.models)

    def _respects_shadows(self, job: Job, seat: Seat, bytes_: int, load: float) -> bool:
        if not self._shadows:
            return True
        late = self._at(load + max(job.late_seconds, seconds_with(job, bytes_)))
        return all(s.job is job or s.admits(seat, bytes_, late) for s in self._shadows)

    # ── those who wait ───────────────────────────────────────────────────────

    def _settle_blocked(self, line: _Line) -> None:
        """Nothing of this line starts now: keep its place, or make room for it."""
        wait = line.wait or self._why_no_room(line.head)
        job = wait.job
        if wait.reason is WaitReason.WARM_SOON:
            model = main_model(job)
            self._warmth.claim(model, self._alike(line, model), job.need_seconds)
            self._stamp += 1
        elif wait.reason in (WaitReason.NO_HEADROOM, WaitReason.NO_HOST_RAM):
            wait = self._make_room(line, wait)
        self._block(line, wait)

    def _make_room(self, line: _Line, wait: Wait) -> Wait:
        job = wait.job
        if self._releases < _MOST_RELEASES:
            way = cheapest_way(
                job, self._idle, self._room, self._warmth, lambda seat: self._may_use(job, seat)
            )
            if way is not None:
                for seat in way.seats:
                    self._release(seat)
                self._releases += 1
                return Wait(job, WaitReason.RELEASING, "idle workers are giving memory back")
        if under_way(job, self._room.cards.values()):
            return Wait(job, WaitReason.RELEASING, "idle workers are giving memory back")
        if not self._shadows or line.forced:
            self._keep_place(job)
        return wait

    def _release(self, seat: Seat) -> None:
        self._decisions.append(Release(seat.worker))
        self._warmth.dropped(seat, seat.models)
        seat.start_release()
        self._idle.remove(seat)
        self._stamp += 1

    def _keep_place(self, job: Job) -> None:
        cards = [
            card
            for card in self._room.cards.values()
            if any(seat.heard and self._may_use(job, seat) for seat in card.seats)
        ]
        shadow = cast_shadow(job, cards, self._room, self._now)
        if shadow is not None:
            self._shadows.append(shadow)
            self._decisions.append(Reserve(job, shadow.card.gpu.id, shadow.at_ms))
            self._stamp += 1

    def _why_no_room(self, job: Job) -> Wait:
        """No idle worker can take the job: which of the reasons it is."""
        seats = [seat for seat in self._idle if self._may_use(job, seat)]
        if not seats:
            return self._nobody_free(job)
        if all(not self._hosts.fits(job, seat) for seat in seats):
            missing = min(self._hosts.missing(job, seat) for seat in seats)
            text = f"its machine lacks {gib(missing)} of memory for the models"
            return Wait(job, WaitReason.NO_HOST_RAM, text)
        fitting = [s for s in seats if fitting_bytes(job, s, self._room) is not None]
        if fitting and self._shadows:
            held = self._shadows[0].job.id
            text = "a prompt that has waited longer gets the next GPU that comes free"
            return Wait(job, WaitReason.HELD_FOR_HEAD, text, held)
        if fitting:
            text = "another model is being loaded onto the GPU; two at once take far longer"
            return Wait(job, WaitReason.WARM_SOON, text)
        return shortage(job, seats, self._room)

    def _block(self, line: _Line, wait: Wait) -> None:
        self._blocked.setdefault(line.backlog.user, wait)

    # ── workers that rest ────────────────────────────────────────────────────

    def _rested(self, seats: list[Seat]) -> list[Seat]:
        """Without those in quarantine."""
        if not any(worker.failures for worker in self._snapshot.workers):
            return seats
        limit, rest = self._config.quarantine_failures, self._config.quarantine_ms
        fit = []
        for seat in seats:
            card = seat.card
            until = rests_until(seat.worker, limit, rest)
            if card is not None:
                of_gpu = gpu_rests_until((s.worker for s in card.seats), limit, rest)
                until = max(until, of_gpu)
            if until > self._now:
                self._look_again(until)
            else:
                fit.append(seat)
        return fit
