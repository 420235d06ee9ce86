"""All policies by name: the production plan and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable

from config.settings import Scheduler
from scheduler.policy import plan
from simulator.world.baselines import baselines
from simulator.world.planner import Policy

#: what vramgate runs
PRODUCTION = "vramgate"


def policies() -> dict[str, Callable[[], Policy]]:
    """Makers of all policies; a policy may remember things of its own run."""
    return {**baselines(), PRODUCTION: _production}


def _production() -> Policy:
    return Policy(name=PRODUCTION, plan=plan, window=Scheduler().window, again=False)
