"""What one simulated run showed, in figures.

* *wait*: from arrival to the start of the attempt that ended the job. Loading is
  part of the run, not of the wait.
* *warm hit*: share of attempts that found all their models on their worker.
* *load share*: loading time ÷ time that workers were busy.
* *small tenants*: users whose tenant has at most 3 requests in the trace.
* *Jain*: the run is cut into windows of 600 s. Of each window those users count
  who had a job queued at every moment of it, and of those the GPU-seconds (loading
  included) that they received within it: ``(Σx)² ÷ (n·Σx²)``. The figure is the
  mean over all windows with two such users or more who received anything at all;
  1.0 where there is none. Users have equal weights.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from scheduler.fairness import jain

WINDOW_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one run."""

    jobs: int
    mean_wait_s: float
    p50_wait_s: float
    p95_wait_s: float
    p99_wait_s: float
    max_wait_s: float
    small_tenant_wait_s: float
    warm_hit: float
    load_share: float
    jain: float
    #: share of the workers' time until the last end in which they were busy
    busy_share: float
    #: until the last job had ended
    makespan_s: float
    #: worker time of attempts that did not end their job ÷ busy time
    waste_share: float
    failed: int


@dataclass(slots=True)
class _User:
    """One user's queue over time."""

    queued: int = 0
    since: float = 0.0
    #: windows in which something was queued throughout
    backlogged: set[int] = field(default_factory=set)
    #: GPU-seconds by window
    received: dict[int, float] = field(default_factory=lambda: defaultdict(float))


class Recorder:
    """Listens to a run; ``figures`` tells what it was like."""

    def __init__(self) -> None:
        self._users: dict[str, _User] = defaultdict(_User)
        self._waits: list[float] = []
        self._small_waits: list[float] = []
        self._attempts = 0
        self._warm = 0
        self._busy = 0.0
        self._loading = 0.0
        self._wasted = 0.0
        self._failed = 0
        self._last_end = 0.0

    def queued(self, at: float, user: str) -> None:
        """One more job of the user waits."""
        one = self._users[user]
        if not one.queued:
            one.since = at
        one.queued += 1

    def unqueued(self, at: float, user: str) -> None:
        """One job of the user waits no longer."""
        one = self._users[user]
        one.queued -= 1
        if not one.queued:
            first = math.ceil(one.since / WINDOW_S)
            one.backlogged.update(range(first, int(at / WINDOW_S)))

    def attempted(
        self, start: float, end: float, user: str, *, load_seconds: float, warm: bool
    ) -> None:
        """A worker was busy for the user from ``start`` to ``end``."""
        self._attempts += 1
        self._warm += warm
        self._busy += end - start
        self._loading += load_seconds
        received = self._users[user].received
        for window in range(int(start / WINDOW_S), int(end / WINDOW_S) + 1):
            begin = window * WINDOW_S
            received[window] += min(end, begin + WINDOW_S) - max(start, begin)

    def wasted(self, seconds: float) -> None:
        """So much of the busy time brought nothing."""
        self._wasted += seconds

    def done(self, at: float, *, wait: float, small: bool) -> None:
        """A job has ended well."""
        self._waits.append(wait)
        if small:
            self._small_waits.append(wait)
        self._last_end = max(self._last_end, at)

    def failed(self, at: float) -> None:
        """A job has ended, and not well."""
        self._failed += 1
        self._last_end = max(self._last_end, at)

    def figures(self, workers: int) -> Figures:
        """All figures; of a run without jobs they are 0."""
        waits = sorted(self._waits)
        time = workers * self._last_end
        return Figures(
            jobs=len(waits) + self._failed,
            mean_wait_s=_mean(waits),
            p50_wait_s=quantile(waits, 0.5),
            p95_wait_s=quantile(waits, 0.95),
            p99_wait_s=quantile(waits, 0.99),
            max_wait_s=waits[-1] if waits else 0.0,
            small_tenant_wait_s=_mean(self._small_waits),
            warm_hit=self._warm / self._attempts if self._attempts else 0.0,
            load_share=self._loading / self._busy if self._busy else 0.0,
            jain=self._jain(),
            busy_share=self._busy / time if time else 0.0,
            makespan_s=self._last_end,
            waste_share=self._wasted / self._busy if self._busy else 0.0,
            failed=self._failed,
        )

    def _jain(self) -> float:
        windows: dict[int, list[float]] = defaultdict(list)
        for user in self._users.values():
            for window in user.backlogged:
                windows[window].append(user.received.get(window, 0.0))
        shares = [x for x in windows.values() if len(x) > 1 and sum(x) > 0]
        return _mean([jain(x) for x in shares]) if shares else 1.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that ``share`` of the ascending values do not exceed; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
