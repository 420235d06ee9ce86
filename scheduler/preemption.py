"""Interrupting a batch job for an interactive one (pure). Off unless an admin turns it on.

ComfyUI cannot resume: what is interrupted is lost. So only where somebody waits
and nothing else helps (research 4.8): the victim is a batch job that has done
less than ``most_progress`` of its expected time, costs less than the wait it
saves, was never interrupted before, and the pool has not wasted too much lately.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from scheduler.decisions import Preempt, Wait
from scheduler.plan_config import PlanConfig, Preemption
from scheduler.states import Job, JobState, Lane, Snapshot, WaitReason

#: Reasons to wait that a worker given back would end.
_HELPS: Final = (WaitReason.NO_WORKER, WaitReason.NO_HEADROOM)


def preemptions(
    snapshot: Snapshot,
    now_ms: int,
    config: PlanConfig,
    blocked: Sequence[Wait],
    could_take: Callable[[Job, Job], bool],
) -> list[Preempt]:
    """At most one interruption: the first blocked interactive job that one helps.

    Args:
        snapshot: the pool.
        now_ms: server time.
        config: ``preemption`` None: nothing is ever interrupted.
        blocked: who waits, next one first.
        could_take: whether the first may run at all where the second one runs.
    """
    rule = config.preemption
    if rule is None or any(job.preempting for job in snapshot.active.values()):
        return []
    if config.wasted_share >= rule.most_waste:
        return []
    for wait in blocked:
        job = wait.job
        if job.lane is not Lane.INTERACTIVE or wait.reason not in _HELPS:
            continue
        victims = [
            victim
            for victim in snapshot.active.values()
            if _may_go(victim, job, now_ms, rule) and could_take(job, victim)
        ]
        if victims:
            return [Preempt(min(victims, key=lambda v: (_seconds(v, now_ms), v.id)), job)]
    return []


def _may_go(victim: Job, job: Job, now_ms: int, rule: Preemption) -> bool:
    if victim.lane is not Lane.BATCH or victim.state is not JobState.RUNNING:
        return False
    if victim.preemptions or victim.reserved_bytes < min(job.need_bytes, victim.need_bytes):
        return False
    expected = victim.granted_seconds or victim.need_seconds
    done = _seconds(victim, now_ms)
    return done < rule.most_progress * expected and done < expected - done


def _seconds(job: Job, now_ms: int) -> float:
    return max(0.0, (now_ms - (job.started_ms or job.admitted_ms)) / 1000)
