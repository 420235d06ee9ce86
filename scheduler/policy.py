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
from dataclasses import replace
from typing import Final

from scheduler.decisions import Admit, Decision, Plan, Release, Reserve, Wait
from scheduler.exploration import QUIET_SHARE, is_quiet
from scheduler.fairness import MICROS, charge, dominant_share
from scheduler.ledger_values import Grant
from scheduler.lines import Line, is_forced, open_lines
from scheduler.offers import Start, alike, find_start, no_room
from scheduler.placement import Seat
from scheduler.plan_config import PlanConfig
from scheduler.preemption import preemptions
from scheduler.releases import Way, cheapest_way, host_way, under_way
from scheduler.reservation import choose_step
from scheduler.scene import Scene
from scheduler.shadow import cast_shadow
from scheduler.sharing import hold_beside_load
from scheduler.states import Job, Lane, MemoryLimit, Snapshot, Step, WaitReason
from scheduler.warmth import main_model

#: Waiting jobs looked at when a smaller reservation is weighed against one more beside it.
_BESIDE: Final = 8
#: Blocked jobs for which one plan starts releases.
_MOST_RELEASES: Final = 4
#: No job is expected to take less; charges are divided by it.
_SHORTEST_S: Final = 0.001
#: What a line waits for that has only its own user or group to blame.
_OWN_LIMITS: Final = (WaitReason.CAP, WaitReason.BUDGET)
_GIVING_BACK: Final = "idle workers are giving memory back"


def plan(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
    """Decide what to start, release, keep free, interrupt or end.

    Args:
        snapshot: the pool and its queues as the ledger knows them.
        now_ms: server time.
        config: what the admin set and the leader knows.
    """
    return _Planner(Scene(snapshot, now_ms, config)).run()


class _Planner:
    """Serves the lines of one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._decisions: list[Decision] = []
        self._blocked: dict[str, Wait] = {}
        self._releases = 0

    def run(self) -> Plan:
        scene = self._scene
        opened = open_lines(scene)
        self._lines = opened.lines
        self._decisions += opened.refused
        for line, wait in opened.held:
            self._block(line, wait)
        self._serve()
        waits = list(self._blocked.values())
        self._decisions += preemptions(
            scene.snapshot, scene.now_ms, scene.config, waits, self._could_take
        )
        return Plan(tuple(self._decisions), self._blocked, scene.again_ms, tuple(opened.lacking))

    def _could_take(self, job: Job, victim: Job) -> bool:
        seat = self._scene.room.seats.get(victim.worker)
        return seat is not None and self._scene.may_use(job, seat)

    def _serve(self) -> None:
        """Admit the offer with the least key until nobody has one.

        A line stands in the heap with the key of its last offer, at first with that
        of one that costs nothing: no offer is worked out before it could be the best.
        """
        heap = [(self._key(line), number, line) for number, line in enumerate(self._lines)]
        heapq.heapify(heap)
        while heap and self._scene.idle:
            key, number, line = heapq.heappop(heap)
            if line.stamp != self._scene.stamp:
                self._offer(line)
                worse = self._key(line)
                if heap and worse > key and heap[0][0] < worse:
                    heapq.heappush(heap, (worse, number, line))
                    continue
            if line.start is None:
                self._leave(line)
                continue
            self._admit(line, line.start)
            if line.jobs:
                line.forced = is_forced(self._scene, line.head)
                line.start = None
                heapq.heappush(heap, (self._key(line), number, line))
        for _, _, line in heap:
            self._block(line, self._scene.nobody_free(line.head))

    def _key(self, line: Line) -> tuple[object, ...]:
        """Forced ones first, oldest first; then lanes; then counters with the cost of loading."""
        if line.forced:
            return (0, line.head.submitted_ms, line.head.id)
        cost = int(line.start.cost * MICROS) if line.start else 0
        after, group, user, *ties = self._scene.counters.order(line.backlog)
        several = cost if len(self._scene.snapshot.groups) > 1 else 0
        return (1, after, line.lane is Lane.BATCH, group + several, user + cost, *ties)

    def _offer(self, line: Line) -> None:
        """Find what the line could start now, or why nothing."""
        line.stamp = self._scene.stamp
        alone = self._scene.config.strict_order or line.forced
        found = find_start(self._scene, line.jobs[:1] if alone else line.jobs, forced=line.forced)
        if isinstance(found, Start):
            line.start, line.wait = found, None
        else:
            line.start, line.wait = None, found

    # ── admitting ────────────────────────────────────────────────────────────

    def _admit(self, line: Line, start: Start) -> None:
        scene, job, seat = self._scene, start.job, start.seat
        passed = self._passed(line, job)
        line.jobs.remove(job)
        scene.idle.remove(seat)
        tried = self._trial(start)
        step = tried or choose_step(job, seat, start.most, self._beside(job))
        run = step.seconds if step.bytes < job.need_bytes else job.need_seconds
        grant = self._grant(job, seat, step.bytes, max(start.load + run, _SHORTEST_S), start.load)
        grant = replace(grant, trial=tried is not None, passed=passed)
        late = start.load + max(job.late_seconds, run)
        seat.take(job, step.bytes, scene.at(grant.seconds), scene.at(late))
        if start.load and seat.card is not None:
            seat.card.load(hold_beside_load(job, start.load))
        scene.warmth.taken(seat)
        scene.hosts.run(job, seat)
        scene.caps.count(job, step.bytes)
        scene.counters.pay(line.backlog, grant.user_charge, grant.group_charge)
        scene.shadows = [shadow for shadow in scene.shadows if shadow.job is not job]
        scene.stamp += 1
        self._decisions.append(Admit(job, seat.worker, grant))

    def _trial(self, start: Start) -> Step | None:
        """A smaller reservation to try on this start; None: it gets what is best.

        The pool is looked at once more: what this plan admitted before may have made it busy.
        """
        scene, job, seat = self._scene, start.job, start.seat
        step = scene.config.trials.get(job.id)
        if step is None or start.load:
            return None  # a run that loads tells nothing of how long the work takes
        if seat.worker.limit is MemoryLimit.OBSERVED or step.bytes > start.most:
            return None
        seats = [other for other in scene.room.seats.values() if other.card is not None]
        busy = sum(1 for other in seats if other.job)
        quiet = is_quiet(scene.snapshot) and busy < QUIET_SHARE * len(seats)
        return step if quiet else None

    def _grant(self, job: Job, seat: Seat, bytes_: int, seconds: float, load: float) -> Grant:
        card, counters = seat.card, self._scene.counters
        capacity = card.capacity if card is not None and bytes_ else 0
        share = dominant_share(bytes_, capacity, len(card.seats) if card is not None else 1)
        return Grant(
            bytes=bytes_,
            capacity_bytes=capacity,
            seconds=seconds,
            load_seconds=load,
            user_charge=charge(share, seconds, counters.weight(job.user)),
            group_charge=charge(share, seconds, counters.group_weight(job.group)),
            charge=charge(share, seconds, 1.0),
        )

    def _passed(self, line: Line, job: Job) -> tuple[str, ...]:
        """Jobs that should have gone first: the line's own first one, and that next by counters."""
        own = (line.head.id,) if line.head is not job else ()
        if line.forced:
            return own
        order = self._scene.counters.order
        lines = [other for other in self._lines if other.jobs and other.lane is line.lane]
        first = min(lines, key=lambda other: order(other.backlog), default=line)
        capped = first.wait is not None and first.wait.reason in _OWN_LIMITS
        # a forced one has its place kept: whoever starts now does not delay it
        if first is line or capped or first.forced:
            return own
        return (*own, first.head.id)

    def _beside(self, job: Job) -> list[Job]:
        """The next jobs that may start soon, for ``choose_step``."""
        found: list[Job] = []
        for line in self._lines:
            found += [other for other in line.jobs[:2] if other is not job and other.need_bytes]
            if len(found) >= _BESIDE:
                break
        return found

    # ── those who wait ───────────────────────────────────────────────────────

    def _leave(self, line: Line) -> None:
        """Nothing of this line starts now: keep its place, or make room for it."""
        wait = line.wait or self._scene.nobody_free(line.head)
        job = wait.job
        if wait.reason is WaitReason.WARM_SOON:
            model = main_model(job)
            self._scene.warmth.claim(model, alike(line.jobs, model), job.need_seconds)
            self._scene.stamp += 1
            # where it would not fit anyway, that is what its user should hear
            wait = no_room(self._scene, job) or wait
        elif wait.reason in (WaitReason.NO_HEADROOM, WaitReason.NO_HOST_RAM):
            wait = self._make_room(line, wait)
        self._block(line, wait)

    def _make_room(self, line: Line, wait: Wait) -> Wait:
        scene, job = self._scene, wait.job
        if self._releases < _MOST_RELEASES:
            way = self._way(job, wait.reason)
            if way is not None:
                for seat in way.seats:
                    self._release(seat)
                self._releases += 1
                return Wait(job, WaitReason.RELEASING, _GIVING_BACK)
        if under_way(job, scene.room.cards.values()):
            return Wait(job, WaitReason.RELEASING, _GIVING_BACK)
        if not scene.shadows or line.forced:
            self._keep_place(job, forced=line.forced)
        return wait

    def _way(self, job: Job, lacking: WaitReason) -> Way | None:
        scene = self._scene

        def may_use(seat: Seat) -> bool:
            return scene.may_use(job, seat)

        if lacking is WaitReason.NO_HOST_RAM:
            return host_way(job, scene.idle, scene.hosts, scene.warmth, may_use)
        return cheapest_way(job, scene.idle, scene.room, scene.warmth, may_use)

    def _release(self, seat: Seat) -> None:
        self._decisions.append(Release(seat.worker))
        self._scene.warmth.dropped(seat, seat.models)
        seat.start_release()
        if seat in self._scene.idle:  # one in quarantine is not, and gives back all the same
            self._scene.idle.remove(seat)
        self._scene.stamp += 1

    def _keep_place(self, job: Job, *, forced: bool) -> None:
        scene = self._scene
        cards = [
            card
            for card in scene.room.cards.values()
            if any(seat.heard and scene.may_use(job, seat) for seat in card.seats)
        ]
        shadow = cast_shadow(job, cards, scene.room, scene.now_ms, forced=forced)
        if shadow is not None:
            scene.shadows.append(shadow)
            scene.stamp += 1
            self._decisions.append(Reserve(job, shadow.card.gpu.id, shadow.at_ms))

    def _block(self, line: Line, wait: Wait) -> None:
        self._blocked.setdefault(line.backlog.user, wait)
