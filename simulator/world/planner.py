"""A policy, as a world runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.decisions import Plan
from scheduler.plan_config import PlanConfig
from scheduler.states import Snapshot

#: as ``scheduler.policy.plan``: snapshot, now in milliseconds, configuration
Planner = Callable[[Snapshot, int, PlanConfig], Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One way to plan, and how much of each queue it wants to see."""

    name: str
    plan: Planner
    #: jobs of each user in its snapshots
    window: int
    #: True: it sees one job of a user at a time, so it is asked again after admissions
    again: bool
