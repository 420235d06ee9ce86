"""The two baselines that look at warmth: fair sharing with affinity, and an oracle."""

from __future__ import annotations

from typing import Final

from scheduler.decisions import Decision, Plan
from scheduler.plan_config import PlanConfig
from scheduler.states import Job, Snapshot, Worker
from simulator.world.floor import Floor, by_counter, is_warm

#: users that are looked at, and how long the first of them may be passed
_WINDOW: Final = 32
_MAX_SKIPS: Final = 64
_AGING_MS: Final = 600_000


def fair_affinity(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
    """One admission: the first of the heads that finds its model idle, else the first head.

    A head that was passed too often or has waited too long goes first wherever it can.
    """
    heads = by_counter(snapshot)[:_WINDOW]
    if not heads:
        return Plan(())
    head, floor = heads[0], Floor(snapshot, config)
    due = head.skips >= _MAX_SKIPS or now_ms - head.submitted_ms > _AGING_MS
    for job in heads[:1] if due else heads:
        warm = [w for w in floor.idle if is_warm(job, w) and floor.fits(job, w)]
        if warm:
            passed = () if job is head else (head.id,)
            return Plan((floor.take(job, warm[0], warm=True, passed=passed),))
    fitting = [worker for worker in floor.idle if floor.fits(head, worker)]
    if not fitting:
        return Plan(tuple(floor.clear_for(head)))
    best = min(fitting, key=lambda worker: (_eviction(head, worker, floor, config), worker.id))
    return Plan((floor.take(head, best, warm=False),))


def _eviction(job: Job, worker: Worker, floor: Floor, config: PlanConfig) -> float:
    """GreedyDual-Size: what the models dropped for the job are worth, by popularity × load."""
    lost, free = 0.0, floor.room(worker) - worker.used_bytes
    for model in reversed(worker.models):
        if free >= job.need_bytes:
            break
        if (known := config.demand.get(model)) is not None:
            lost += known.rate * known.load_seconds
            free += known.bytes
    return lost


def oracle(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
    """Again and again the job, of all that wait, that would be done first."""
    floor = Floor(snapshot, config)
    waiting = {job.id: job for backlog in snapshot.backlogs for job in backlog.jobs}
    decisions: list[Decision] = []
    while floor.idle and waiting:
        warm = {model for worker in floor.idle for model in worker.models}
        job = min(waiting.values(), key=lambda job: (_length(job, warm), job.id))
        del waiting[job.id]
        fitting = [worker for worker in floor.idle if floor.fits(job, worker)]
        if not fitting:
            decisions += floor.clear_for(job)
            continue
        best = min(
            fitting, key=lambda w: (not is_warm(job, w), _eviction(job, w, floor, config), w.id)
        )
        decisions.append(floor.take(job, best, warm=is_warm(job, best)))
    return Plan(tuple(decisions))


def _length(job: Job, warm: set[str]) -> float:
    return job.need_seconds + (0.0 if warm.issuperset(job.models) else job.load_seconds)
