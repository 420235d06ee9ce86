"""The leader's forecasts: made beside its plans, told to the ledger, judged by what happens.

Running the pool forward takes up to a second, and no admission may wait for that: it is
a task of its own (``stepwise``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from scheduler.calibration import Calibration, corrected
from scheduler.forecast import Forecast, Forecasting
from scheduler.ledger import Ledger, Trust
from scheduler.plan_config import PlanConfig
from scheduler.states import Snapshot
from scheduler.stepwise import Apart, run_for

_log = structlog.get_logger()

#: Time between the end of one forecast and the beginning of the next, at least; and as
#: many times what the last one took.
_AGAIN_S: Final = 2.0
_IDLE_TIMES: Final = 4
#: Seconds that one forecast may take; jobs that it does not come to have none.
_LONGEST_S: Final = 1.0
#: A forecast that moved less, and by less than this share of the wait, is not told again.
_SAME_MS: Final = 1_000
_SAME_SHARE: Final = 0.1
#: How often what forecasts were worth is logged.
_SAY_S: Final = 300.0


@dataclass(slots=True)
class _Said:
    """What was first said of a job, and when."""

    raw: Forecast
    told: Forecast
    made_ms: int
    #: it still waited at its p90, and that was counted
    overdue: bool = False


class Foresight:
    """Forecasts of one leader."""

    def __init__(
        self, ledger: Ledger, clock: Callable[[], float], apart: Apart = asyncio.to_thread
    ) -> None:
        """``clock``: any seconds that grow; ``apart``: see ``stepwise``."""
        self._ledger = ledger
        self._apart = apart
        self._clock = clock
        self._calibration: Calibration | None = None
        self._task: asyncio.Task[None] | None = None
        self._again = 0.0
        self._say_again = clock() + _SAY_S
        #: waiting jobs: what is judged by, and what the ledger has of (job, rev)
        self._first: dict[str, _Said] = {}
        self._told: dict[tuple[str, int], Forecast] = {}

    def look(self, epoch: int, snapshot: Snapshot, config: PlanConfig) -> None:
        """Begin a forecast, if jobs wait and the last one was long enough ago.

        Raises:
            LedgerUnavailable: the last one could not be told.
        """
        if self._task is not None:
            if not self._task.done():
                return
            task, self._task = self._task, None
            task.result()
        if self._clock() < self._again or not any(b.jobs for b in snapshot.backlogs):
            return
        self._task = asyncio.create_task(self._foresee(epoch, snapshot, config))

    def admitted(self, job_id: str, now_ms: int) -> None:
        """Judge what was said of a job that starts now."""
        said = self._first.pop(job_id, None)
        if said is not None and self._calibration is not None:
            self._calibration.observe(
                said.raw, said.told, said.made_ms, now_ms, counted=said.overdue
            )

    async def close(self) -> None:
        """Break off a forecast in the making."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _foresee(self, epoch: int, snapshot: Snapshot, config: PlanConfig) -> None:
        began = self._clock()
        calibration = self._calibration
        if calibration is None:  # an earlier leader's experience is worth having
            calibration = self._calibration = Calibration(await self._ledger.trust())
        forecasting = Forecasting(snapshot, config)
        await run_for(forecasting, _LONGEST_S, self._clock, apart=self._apart)
        waiting = {job.id: job.rev for backlog in snapshot.backlogs for job in backlog.jobs}
        self._first = {id_: said for id_, said in self._first.items() if id_ in waiting}
        for said in self._first.values():
            if not said.overdue and said.told.p90_ms < snapshot.now_ms:
                said.overdue = True
                calibration.overdue()
        trust = calibration.trust
        starts = self._news(forecasting.forecasts(), waiting, snapshot.now_ms, trust)
        await self._ledger.foresee(epoch, starts, trust)
        now = self._clock()
        self._again = now + max(_AGAIN_S, _IDLE_TIMES * (now - began))
        self._say(trust)

    def _news(
        self, raws: Mapping[str, Forecast], revs: Mapping[str, int], now_ms: int, trust: Trust
    ) -> dict[str, tuple[int, int]]:
        """What has to be told: forecasts that are new or have moved."""
        before, self._told = self._told, {}
        news: dict[str, tuple[int, int]] = {}
        for job_id, raw in raws.items():
            if raw.p50_ms <= now_ms:  # it starts before anybody could read of it
                continue
            new, old = corrected(raw, trust, now_ms), before.get((job_id, revs[job_id]))
            self._first.setdefault(job_id, _Said(raw, new, now_ms))
            if old is None or _moved(old, new, now_ms):
                news[job_id] = (new.p50_ms, new.p90_ms)
                old = new
            self._told[job_id, revs[job_id]] = old
        return news

    def _say(self, trust: Trust) -> None:
        if trust.scored and self._clock() >= self._say_again:
            self._say_again = self._clock() + _SAY_S
            _log.info(
                "forecasts",
                coverage=round(trust.coverage, 3),
                scored=trust.scored,
                p50_factor=round(trust.p50_factor, 2),
                p90_factor=round(trust.p90_factor, 2),
            )


def _moved(old: Forecast, new: Forecast, now_ms: int) -> bool:
    same = max(_SAME_MS, _SAME_SHARE * (new.p50_ms - now_ms))
    return max(abs(new.p50_ms - old.p50_ms), abs(new.p90_ms - old.p90_ms)) > same
