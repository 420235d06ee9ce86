"""Why each waiting job waits: the plan's reasons, spread over the rest of the queues (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.decisions import Admit, Plan, Refuse, Wait
from scheduler.states import Snapshot, WaitReason

#: what keeps a user's first job waiting keeps the others, too
_ALL_OF_USER = (WaitReason.CAP, WaitReason.BUDGET, WaitReason.MAINTENANCE)
_LATER = "users and groups who have had less GPU time go first"


def explain(snapshot: Snapshot, plan: Plan) -> Iterator[Wait]:
    """A wait for every job of the snapshot that the plan does not start or end."""
    yield from plan.lacking
    gone = {d.job.id for d in plan.decisions if isinstance(d, Admit | Refuse)}
    gone |= {wait.job.id for wait in plan.lacking}
    for backlog in snapshot.backlogs:
        told = plan.blocked.get(backlog.user)
        place = 0
        for job in backlog.jobs:
            if job.id in gone:
                continue
            if told is not None and told.job.id == job.id:
                yield told
            elif place == 0 and told is not None and told.reason is not WaitReason.WARM_SOON:
                yield Wait(job, told.reason, told.detail, told.blocker)
            elif place == 0:
                yield Wait(job, WaitReason.FAIRNESS, _LATER)
            else:
                reason = WaitReason.FAIRNESS
                if told is not None and told.reason in _ALL_OF_USER:
                    reason = told.reason
                yield Wait(job, reason, _behind(place))
            place += 1


def _behind(place: int) -> str:
    if place == 1:
        return "1 earlier prompt of the same user goes first"
    return f"{place} earlier prompts of the same user go first"
