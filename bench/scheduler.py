"""How long a plan takes, how many admissions a second, and what a queued job costs Redis.

Plans are timed in a simulated pool that never runs dry: 10,000 jobs wait, of 500
users and 24 models, for 64 GPUs of 80 GiB with 4 workers each. ``plan_ms_…`` is
the usual case, in which all workers are busy but the few that have just become
idle; ``burst_plan_ms`` is the one plan that finds all 256 workers idle and empty.
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


class _Timed:
    """The production plan, with its wall time noted: all of them, and what it looked at."""

    def __init__(self) -> None:
        self.milliseconds: list[float] = []
        self.queued: list[int] = []
        self._policy = policies()[PRODUCTION]()

    def policy(self) -> Policy:
        """The same policy, timed."""
        return Policy(
            name=PRODUCTION, plan=self._plan, window=self._policy.window, again=self._policy.again
        )

    def _plan(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        begun = time.perf_counter()
        decided = self._policy.plan(snapshot, now_ms, config)
        self.milliseconds.append(1000 * (time.perf_counter() - begun))
        self.queued.append(sum(backlog.queued for backlog in snapshot.backlogs))
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
    for number in range(queued + workers + more):
        yield Arrival(
            max(0, number - queued - workers) * _RUN_SECONDS / workers,
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
    while len(timed.milliseconds) < plans:
        world.step()
    usual = timed.milliseconds[1:]
    cuts = statistics.quantiles(usual, n=100)
    return {
        "plan_ms_p50": cuts[49],
        "plan_ms_p99": cuts[98],
        "plan_ms_max": max(usual),
        "burst_plan_ms": timed.milliseconds[0],
        "plan_queued_jobs": min(timed.queued),
        "plan_workers": _GPUS * _WORKERS,
    }


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
