"""What the leader has learned from watching, for its plans. Gone with the leader, soon known again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from config.maintenance import Maintenance
from config.settings import Group, RhythmMode, Scheduler, Settings, User
from scheduler.budgets import Budget, Spent, month_of, within
from scheduler.decisions import Admit
from scheduler.demand import DemandBook
from scheduler.outlook import Horizon, Outlook
from scheduler.placement import Safety
from scheduler.plan_config import Demand, Limits, PlanConfig, Preemption
from scheduler.rhythm import Peak, Rhythm
from scheduler.states import Lane, Snapshot, WorkerState
from scheduler.warmth import main_model

#: A job that the ledger refused to admit is not offered again for so long: whatever it
#: collided with is known by then, and it must not hold up those after it.
_REFUSED_MS: Final = 1000
#: Interrupted attempts count against the pool's time for so long.
_WASTE_MS: Final = 3_600_000


class Knowledge:
    """Floors of workers, demand for models and its rhythm, waste of interrupted attempts."""

    def __init__(self) -> None:
        self._releasing: set[str] = set()
        self._floors: dict[str, int] = {}
        self._host_floors: dict[str, int] = {}
        self._demand = DemandBook()
        #: job → server time until which it is not offered
        self._refused: dict[str, int] = {}
        #: (server time, GPU-seconds) of interrupted attempts, oldest first
        self._wasted: deque[tuple[int, float]] = deque()
        self._outlook = Outlook()
        self._spent: Spent | None = None
        #: the peak that the last plan saw ahead or going on, whether or not batch jobs wait for it
        self.peak: Peak | None = None

    def follow(self, rhythm: Rhythm | None) -> None:
        """Expect of the coming hours what this table says; None: nothing."""
        self._outlook.follow(rhythm)

    def follow_spent(self, spent: Spent | None) -> None:
        """What was used of budgets; None: nobody has told it lately, and budgets hold up nobody."""
        self._spent = spent

    def look(self, snapshot: Snapshot) -> None:
        """Remember what a worker still holds after a release, so that none is asked in vain."""
        for worker in snapshot.workers:
            if worker.state is WorkerState.RELEASING:
                self._releasing.add(worker.id)
            elif worker.id in self._releasing:
                self._releasing.discard(worker.id)
                self._floors[worker.id] = worker.used_bytes
                self._host_floors[worker.id] = worker.host_used_bytes
            elif worker.job or worker.state is WorkerState.DOWN:
                self._floors.pop(worker.id, None)
                self._host_floors.pop(worker.id, None)

    def admitted(self, admit: Admit, now_ms: int) -> None:
        """Count what is asked for."""
        job = admit.job
        model = main_model(job)
        if model:
            sizes = dict(zip(job.models, job.model_bytes, strict=False))
            self._demand.observe(model, now_ms, job.load_seconds, sizes.get(model, 0))
        if job.lane is Lane.INTERACTIVE:
            self._outlook.came(now_ms, admit.grant.seconds)

    def refused(self, job_id: str, now_ms: int) -> None:
        """The ledger would not admit this job."""
        self._refused[job_id] = now_ms + _REFUSED_MS

    def interrupted(self, now_ms: int, seconds: float) -> None:
        """Count an attempt's lost time."""
        self._wasted.append((now_ms, seconds))

    def config(self, settings: Settings, snapshot: Snapshot) -> PlanConfig:
        """The settings and this knowledge as a plan needs them."""
        rules = settings.scheduler
        self.peak = None if rules.rhythm is RhythmMode.OFF else self._peak(rules, snapshot)
        held = self.peak if rules.rhythm is RhythmMode.ON else None
        spent = self._spent_in(month_of(snapshot.now_ms, ZoneInfo(rules.rhythm_zone)))
        return PlanConfig(
            safety=Safety(settings.admission.safety_share, settings.admission.safety_min),
            pool=Limits(max_running=rules.max_running),
            closed=_closed(settings.maintenance, snapshot.now_ms),
            users={user.name: _limits(user, spent.users) for user in settings.users},
            groups={group.name: _limits(group, spent.groups) for group in settings.groups},
            heads=rules.heads,
            max_skips=rules.max_skips,
            aging_ms=int(rules.aging * 1000),
            strict_order=rules.strict_order,
            cold_loads=rules.cold_loads,
            heartbeat_ms=int(rules.heartbeat * 1000),
            quarantine_failures=rules.quarantine_failures,
            quarantine_ms=int(rules.quarantine * 1000),
            preemption=Preemption() if rules.preemption else None,
            wasted_share=self._wasted_share(snapshot),
            floors=dict(self._floors),
            host_floors=dict(self._host_floors),
            refused=self._still_refused(snapshot.now_ms),
            demand=self._wanted(rules, snapshot.now_ms),
            hold_until_ms=held.end_ms if held else 0,
            hold_ms=int(rules.rhythm_hold * 1000),
            hold_old_until_ms=_old_until(rules, held) if held else 0,
        )

    def _spent_in(self, month: str) -> Spent:
        known = self._spent
        return known if known and known.month == month else Spent(month=month, users={}, groups={})

    def _wanted(self, rules: Scheduler, now_ms: int) -> Mapping[str, Demand]:
        recent = self._demand.demand(now_ms)
        if rules.rhythm is not RhythmMode.ON:
            return recent
        return self._outlook.demand(recent, now_ms, ZoneInfo(rules.rhythm_zone))

    def _peak(self, rules: Scheduler, snapshot: Snapshot) -> Peak | None:
        workers = sum(bool(w.gpu) and w.state is not WorkerState.DOWN for w in snapshot.workers)
        horizon = Horizon(
            share=rules.rhythm_share,
            lead_ms=int(rules.rhythm_lead * 1000),
            zone=ZoneInfo(rules.rhythm_zone),
        )
        return self._outlook.peak(snapshot.now_ms, workers, horizon)

    def _still_refused(self, now_ms: int) -> frozenset[str]:
        self._refused = {job: until for job, until in self._refused.items() if until > now_ms}
        return frozenset(self._refused)

    def _wasted_share(self, snapshot: Snapshot) -> float:
        while self._wasted and self._wasted[0][0] < snapshot.now_ms - _WASTE_MS:
            self._wasted.popleft()
        workers = len(snapshot.workers)
        if not workers:
            return 0.0
        return sum(seconds for _, seconds in self._wasted) / (workers * _WASTE_MS / 1000)


def _limits(of: User | Group, used: Mapping[str, int]) -> Limits:
    limits = Limits(
        weight=of.weight,
        max_running=of.max_running,
        vram_share=of.vram_share,
        workers=of.workers,
    )
    return within(limits, Budget(of.budget, of.budget_soft), used, of.name)


def _closed(maintenance: Maintenance, now_ms: int) -> str:
    """Why nothing starts, for people; "" where it does."""
    if maintenance.over(now_ms / 1000):
        return ""
    until = f"until {maintenance.until:%Y-%m-%d %H:%M %Z}" if maintenance.until else ""
    return " ".join(part for part in (maintenance.message, until) if part) or "no end is known yet"


def _old_until(rules: Scheduler, peak: Peak) -> int:
    """Old batch jobs wait for a peak no longer than jobs age, from its lead on."""
    begin_ms = peak.begin_ms - int(rules.rhythm_lead * 1000)
    return min(peak.end_ms, begin_ms + int(rules.aging * 1000))
