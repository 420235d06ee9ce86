"""The mix under every policy: how long it takes, and how much faster that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from config.settings import Settings
from scheduler.states import MemoryLimit
from simulator.mix.baselines import by_peaks, round_robin
from simulator.mix.bound import Bound, bound
from simulator.mix.cases import Case, Facts
from simulator.mix.production import drafts, run_production
from simulator.mix.shared_gpu import SharedGpu
from simulator.world.policies import PRODUCTION

#: card on which the mix was measured
GPU_BYTES: Final = 24 * 2**30
FIFO: Final = "fifo"
ROUND_ROBIN: Final = "round-robin"
BY_PEAKS: Final = "by-peaks"
#: names as the recording has them
_MEASURED_AS: Final = {
    FIFO: "one worker, FIFO",
    ROUND_ROBIN: "round robin",
    BY_PEAKS: "admission by known peaks",
}
#: workers of the baselines, as measured
_BASELINE_WORKERS: Final = {FIFO: 1, ROUND_ROBIN: 3, BY_PEAKS: 3}
POLICIES: Final = (*_BASELINE_WORKERS, PRODUCTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy."""

    policy: str
    workers: int
    makespan_s: float
    failed: int
    loads: int
    releases: int
    #: most device memory in use at any time
    peak_bytes: int
    #: makespans on the real GPU; empty: not measured
    measured_s: Sequence[float]
    #: times faster than these
    over_fifo: float = 0.0
    over_round_robin: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Policies over the same jobs."""

    times: int
    bound: Bound
    rows: Sequence[Row]


def compare(
    facts: Facts, *, times: int, workers: Sequence[int], policies: Sequence[str] = POLICIES
) -> Comparison:
    """Run the mix so many times through under each policy.

    Args:
        facts: what was measured.
        times: how often the mix is posted, all at once.
        workers: processes of the production plan; one row each.
        policies: which rows; the two that all are compared with always run.

    Raises:
        WorldError: the plan leaves jobs waiting for ever.
    """
    jobs = facts.mix(times)
    rows = {
        name: _baseline(facts, name, jobs, times)
        for name in _BASELINE_WORKERS
        if name in (FIFO, ROUND_ROBIN) or name in policies
    }
    found = [row for name, row in rows.items() if name in policies]
    if PRODUCTION in policies:
        found += [_production(facts, count, jobs) for count in workers]
    return Comparison(
        times,
        bound(
            jobs,
            capacity_bytes=_capacity(),
            workers=max(workers),
            context_bytes=facts.context_bytes,
        ),
        [_compared(row, rows[FIFO], rows[ROUND_ROBIN]) for row in found],
    )


def _baseline(facts: Facts, name: str, jobs: Sequence[Case], times: int) -> Row:
    workers = _BASELINE_WORKERS[name]
    gpu = _gpu(facts, workers, MemoryLimit.OBSERVED)
    outcome = by_peaks(gpu, jobs, GPU_BYTES) if name == BY_PEAKS else round_robin(gpu, jobs)
    measured = [
        run.makespan_seconds
        for run in facts.measured
        if (run.policy, run.workers, run.gpu_bytes) == (_MEASURED_AS[name], workers, GPU_BYTES)
    ]
    return _row(name, gpu, outcome.makespan_seconds, outcome.failed, measured if times == 1 else [])


def _production(facts: Facts, workers: int, jobs: Sequence[Case]) -> Row:
    gpu = _gpu(facts, workers, MemoryLimit.TOLD)
    world = run_production(gpu, drafts(jobs))
    return _row(PRODUCTION, gpu, world.now, world.recorder.figures(workers).failed, [])


def _row(name: str, gpu: SharedGpu, seconds: float, failed: int, measured: Sequence[float]) -> Row:
    return Row(
        policy=name,
        workers=len(gpu.workers),
        makespan_s=seconds,
        failed=failed,
        loads=gpu.loads,
        releases=gpu.releases,
        peak_bytes=gpu.peak_bytes,
        measured_s=measured,
    )


def _compared(row: Row, fifo: Row, robin: Row) -> Row:
    return replace(
        row,
        over_fifo=fifo.makespan_s / row.makespan_s,
        over_round_robin=robin.makespan_s / row.makespan_s,
    )


def _gpu(facts: Facts, workers: int, limit: MemoryLimit) -> SharedGpu:
    return SharedGpu(
        facts.cases,
        total_bytes=GPU_BYTES,
        workers=workers,
        context_bytes=facts.context_bytes,
        limit=limit,
    )


def _capacity() -> int:
    """What the production plan may promise of the card."""
    rules = Settings().admission
    return GPU_BYTES - max(rules.safety_min, int(rules.safety_share * GPU_BYTES))
