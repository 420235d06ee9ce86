"""When a job that is not queued would start: for gateways, beside the leader's own forecasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from config.settings import Settings
from scheduler.calibration import corrected
from scheduler.forecast import Forecast, Forecasting
from scheduler.knowledge import Knowledge
from scheduler.ledger import Trust
from scheduler.plan_config import PlanConfig
from scheduler.states import Job, Snapshot
from scheduler.stepwise import run_for
from scheduler.trial import with_job

#: Queued jobs of each user that it looks at; as many as pages show, whose snapshots it shares.
WINDOW: Final = 50
#: Seconds that it may take; a job that it does not come to has no forecast.
_LONGEST_S: Final = 1.0


def plan_config(settings: Settings, snapshot: Snapshot) -> PlanConfig:
    """What plans go by, without what only the leader has learned from watching."""
    return Knowledge().config(settings, snapshot)


async def rehearse(
    job: Job, snapshot: Snapshot, config: PlanConfig, trust: Trust, clock: Callable[[], float]
) -> Forecast | None:
    """When the job would start, behind all that waits now.

    Args:
        job: as ``trial.queued`` makes it.
        snapshot: the pool, at most ``WINDOW`` jobs of each user.
        config: from ``plan_config``.
        trust: what forecasts are worth.
        clock: any seconds that grow.

    Returns:
        None: nobody can say.
    """
    pool = with_job(snapshot, job)
    if pool is None:
        return None
    run = Forecasting(pool, config)
    await run_for(run, _LONGEST_S, clock, enough=lambda: run.has(job.id))
    raw = run.forecasts().get(job.id)
    if raw is None or raw.p90_ms <= snapshot.now_ms:  # at once: nothing to correct
        return raw
    return corrected(raw, trust, snapshot.now_ms)
