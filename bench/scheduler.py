"""How long a plan takes, how many admissions a second, and what a queued job costs Redis.

Plans are timed in a simulated pool that never runs dry: 10,000 jobs wait, of 500
users and 24 models, for 64 GPUs of 80 GiB with 4 workers each.

* ``plan_ms_…``: the usual case; all workers are busy but the 8 at most that have
  just become idle. ``plan_idle_workers`` says how many there were in the mean.
* ``idle_plan_ms_…``: more are idle, and what waits may not start there yet.
* ``burst_plan_ms``: the one plan that finds all 256 workers idle and empty.

Admissions and bytes are the Redis ledger's on an embedded server (``bench ledger``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.ledger import measure
from bench.machine import describe
from cli.valkey import EmbeddedValkey
from scheduler.decisions import Plan
from scheduler.plan_config import PlanConfig
from scheduler.states import Snapshot
from simulator.world.draft import Draft, draft_jobs
from simulator.world.nodes import alike
from simulator.world.planner import Policy
from simulator.world.policies import PRODUCTION, policies
from simulator.world.run import ever_heard
from simulator.world.simple_machine import SimpleMachine
from simulator.world.workload import Arrival, Model
from simulator.world.world import World

_GPUS = 64
_WORKERS = 4
_VRAM_BYTES = 80 * 2**30
_USERS = 500
_MODELS = 24
_RUN_SECONDS = 15.0
#: idle workers up to which a plan is a usual one
_FEW = 8


@dataclass(frozen=True, slots=True)
class _Timing:
    """One plan of the policy: what it saw, and how long it took."""

    milliseconds: float
    queued: int
    idle: int


class _Timed:
    """The production plan, timed; a simple one fills the pool after the first plan."""

    def __init__(self) -> None:
        self.timings: list[_Timing] = []
        self._policy = policies()[PRODUCTION]()
        self._filler = policies()["fair"]()
        self._full = False

    def policy(self) -> Policy:
        """What a world runs."""
        return Policy(
            name=PRODUCTION, plan=self._plan, window=self._policy.window, again=self._policy.again
        )

    def _plan(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        idle = sum(1 for worker in snapshot.workers if not worker.job)
        self._full = self._full or idle <= 1
        if self.timings and not self._full:
            return self._filler.plan(snapshot, now_ms, config)
        begun = time.perf_counter()
        decided = self._policy.plan(snapshot, now_ms, config)
        spent = 1000 * (time.perf_counter() - begun)
        queued = sum(backlog.queued for backlog in snapshot.backlogs)
        self.timings.append(_Timing(spent, queued, idle))
        return decided


def _arrivals(queued: int, more: int) -> Iterator[Arrival]:
    """A full queue at once, and then as many as end."""
    rng = random.Random(0)
    workers = _GPUS * _WORKERS
    models = [
        Model(
            name=f"m{n}", bytes=rng.choice((4, 6, 9, 12)) * 2**30, load_seconds=rng.uniform(2, 30)
        )
        for n in range(_MODELS)
    ]
    popularity = [1 / (n + 1) for n in range(_MODELS)]
    for number in range(queued + 2 * workers + more):
        yield Arrival(
            max(0, number - queued - 2 * workers) * _RUN_SECONDS / workers,
            f"user-{rng.randrange(_USERS)}",
            rng.choices(models, popularity)[0],
            rng.uniform(0.2, 1.8) * _RUN_SECONDS,
            small=False,
        )


def _drafts(queued: int, more: int) -> Sequence[Draft]:
    return draft_jobs(list(_arrivals(queued, more)), most_bytes=_VRAM_BYTES // 2, lie=0.0, seed=0)


def time_plans(queued: int, plans: int) -> dict[str, float]:
    """Milliseconds of plans over so many queued jobs."""
    timed = _Timed()
    world = World(
        drafts=_drafts(queued, 4 * plans),
        machine=SimpleMachine(alike(_GPUS, _VRAM_BYTES), _WORKERS),
        policy=timed.policy(),
        settings=ever_heard(),
    )
    while len(timed.timings) <= plans:
        world.step()
    first, *others = timed.timings
    usual = [timing for timing in others if timing.idle <= _FEW]
    return {
        **_cuts("plan_ms", [timing.milliseconds for timing in usual]),
        **_cuts("idle_plan_ms", [t.milliseconds for t in others if t.idle > _FEW]),
        "burst_plan_ms": first.milliseconds,
        "plan_queued_jobs": min(timing.queued for timing in timed.timings),
        "plan_idle_workers": statistics.fmean(timing.idle for timing in usual) if usual else 0.0,
        "plan_workers": _GPUS * _WORKERS,
    }


def _cuts(name: str, values: Sequence[float]) -> dict[str, float]:
    """Median, 99 % and how many; nothing of fewer than two."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100)
    return {f"{name}_p50": cuts[49], f"{name}_p99": cuts[98], f"{name}_count": len(values)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=int, default=10_000, help="jobs that wait")
    parser.add_argument("--plans", type=int, default=500, help="plans that are timed")
    parser.add_argument("--jobs", type=int, default=5000, help="admissions that are timed")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    figures = time_plans(options.queued, options.plans)
    with (
        tempfile.TemporaryDirectory(prefix="vramgate-") as folder,
        EmbeddedValkey(Path(folder)) as server,
    ):
        ledger = asyncio.run(measure(server.url, options.jobs))
    figures |= {name: ledger[name] for name in ("admits_per_s", "admit_ms_p50", "admit_ms_p99")}
    figures["redis_bytes_per_queued_job"] = ledger["bytes_per_queued_job"]
    figures = {name: round(value, 3) for name, value in figures.items()}
    if options.json:
        print(json.dumps({**figures, "machine": describe()}))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value:12,.3f}")
