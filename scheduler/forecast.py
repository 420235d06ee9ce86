"""When waiting jobs should start: the pool run forward twice (pure).

Once as expected and once late. A job that is next waits for one late end. Further
back the ends of many add up, and not all are late: the spread of a sum of so many
independent times grows with the root of their number, that of the late run with the
number. So of the distance between both runs a job gets its share ÷ √rounds, a round
being one job on every worker. What this misses is learned (``scheduler.calibration``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scheduler.future import Future, Pace
from scheduler.plan_config import PlanConfig
from scheduler.states import Snapshot, WorkerState

#: Plans made for one forecast at most: half of them in each run.
MOST_PLANS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a job should start, server time."""

    #: as likely earlier as later
    p50_ms: int
    #: hardly ever (10 %) later
    p90_ms: int
    #: the worker that takes it if all goes as expected
    worker: str = ""


class Forecasting:
    """Forecasts in the making, one plan at a time."""

    def __init__(
        self, snapshot: Snapshot, config: PlanConfig, *, most_plans: int = MOST_PLANS
    ) -> None:
        self._expected = Future(snapshot, config, Pace.EXPECTED)
        self._late = Future(snapshot, config, Pace.LATE)
        up = sum(worker.state is not WorkerState.DOWN for worker in snapshot.workers)
        self._workers = max(1, up)
        self._left = most_plans
        #: runs that go on; they take turns, so that both have come as far when it is cut short
        self._going = [self._expected, self._late]

    def step(self) -> bool:
        """Make one more plan. False: there is nothing more to foresee."""
        if not self._going or self._left <= 0:
            return False
        self._left -= 1
        future = self._going.pop(0)
        if future.step():
            self._going.append(future)
        return bool(self._going)

    def forecasts(self) -> Mapping[str, Forecast]:
        """Of each job that starts in both runs, as far as they have come."""
        found: dict[str, Forecast] = {}
        for place, (job, at_ms) in enumerate(self._expected.starts.items()):
            late_ms = self._late.starts.get(job)
            if late_ms is not None:
                rounds = 1 + place / self._workers
                spread = max(0, late_ms - at_ms) / math.sqrt(rounds)
                worker = self._expected.places[job]
                found[job] = Forecast(at_ms, at_ms + int(spread), worker)
        return found

    def has(self, job: str) -> bool:
        """Whether the job's forecast is known by now."""
        return job in self._expected.starts and job in self._late.starts


def forecast(
    snapshot: Snapshot, config: PlanConfig, *, most_plans: int = MOST_PLANS
) -> Mapping[str, Forecast]:
    """When each queued job of a snapshot should start.

    Args:
        snapshot: the pool as the ledger knows it.
        config: what the plans go by.
        most_plans: jobs that would start only after so many plans get no forecast.
    """
    forecasting = Forecasting(snapshot, config, most_plans=most_plans)
    while forecasting.step():
        pass
    return forecasting.forecasts()
