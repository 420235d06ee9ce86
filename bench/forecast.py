"""How good forecasts are, and what making one costs.

In simulated time, 12 users send prompts to GPUs of 24 GiB with one worker each: half of them
at random times, half in bursts. Estimates of run times are wrong by a log-normal factor
(σ 0.25). Every ten seconds the queue is foretold as the leader does it; each job is judged by
its first forecast. ``raw_…`` are the same without calibration.

* ``p90_coverage``: jobs that started by their p90; it should be 0.9.
* ``p50_share``: jobs that started by their p50; it should be 0.5.
* ``p50_error_s``: median distance between p50 and start; ``wait_s``: median wait from then on.
* ``forecast_ms``: median time of one forecast over ``forecast_jobs`` queued jobs, 8 workers.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from bench.machine import describe
from scheduler.calibration import Calibration, corrected
from scheduler.decisions import Admit, Plan
from scheduler.forecast import Forecast, forecast
from scheduler.plan_config import PlanConfig
from scheduler.policy import plan
from scheduler.states import Snapshot
from simulator.world.draft import draft_jobs
from simulator.world.nodes import alike
from simulator.world.planner import Policy
from simulator.world.run import ever_heard
from simulator.world.simple_machine import SimpleMachine
from simulator.world.workload import Arrival, Model
from simulator.world.world import World

_GIB: Final = 2**30
_GPUS: Final = 8
_LIE: Final = 0.25
_EVERY_MS: Final = 10_000
#: Mean seconds of a run, and the load that arrivals make of it.
_RUN_S: Final = 15.0
_LOAD: Final = 0.75
_QUEUED: Final = 500


@dataclass(slots=True)
class _Judged:
    made_ms: int
    raw: Forecast
    told: Forecast
    started_ms: int = 0
    overdue: bool = False


@dataclass(slots=True, eq=False)
class Seer:
    """Plans as production does, and foretells beside it."""

    calibration: Calibration = field(default_factory=Calibration)
    waiting: dict[str, _Judged] = field(default_factory=dict)
    judged: list[_Judged] = field(default_factory=list)
    again_ms: int = 0

    def plan(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        """One plan; what it admits is judged."""
        made = plan(snapshot, now_ms, config)
        for decision in made.decisions:
            if isinstance(decision, Admit):
                self._judge(decision.job.id, now_ms)
        if now_ms >= self.again_ms and any(backlog.jobs for backlog in snapshot.backlogs):
            self.again_ms = now_ms + _EVERY_MS
            self._find_overdue(now_ms)
            for job_id, raw in forecast(snapshot, config).items():
                if raw.p50_ms > now_ms:
                    told = corrected(raw, self.calibration.trust, now_ms)
                    self.waiting.setdefault(job_id, _Judged(now_ms, raw, told))
        return made

    def _find_overdue(self, now_ms: int) -> None:
        for one in self.waiting.values():
            if not one.overdue and one.told.p90_ms < now_ms:
                one.overdue = True
                self.calibration.overdue()

    def _judge(self, job_id: str, now_ms: int) -> None:
        one = self.waiting.pop(job_id, None)
        if one is not None:
            self.calibration.observe(one.raw, one.told, one.made_ms, now_ms, counted=one.overdue)
            one.started_ms = now_ms
            self.judged.append(one)


def arrivals(jobs: int, seed: int) -> list[Arrival]:
    """Random ones and bursts of twenty, half of the jobs each."""
    rng = random.Random(seed)
    models = [
        Model(name=f"m{n}", bytes=(4 + 3 * (n % 3)) * _GIB, load_seconds=6.0) for n in range(6)
    ]
    span = jobs * _RUN_S / (_GPUS * _LOAD)
    found: list[Arrival] = []
    while len(found) < jobs:
        at, user = rng.uniform(0, span), f"u{rng.randrange(12)}"
        model = rng.choice(models)
        for _ in range(20 if rng.random() < 0.05 else 1):
            run = rng.lognormvariate(0, 0.6) * _RUN_S * 0.83
            found.append(Arrival(at, user, model, run, small=False))
    return sorted(found, key=lambda one: one.at)


def judge(jobs: int, seed: int) -> list[_Judged]:
    """Play a world, and what was foretold in it."""
    seer = Seer()
    World(
        drafts=draft_jobs(arrivals(jobs, seed), most_bytes=20 * _GIB, lie=_LIE, seed=seed),
        machine=SimpleMachine(alike(_GPUS, 24 * _GIB), 1),
        policy=Policy(name="foretold", plan=seer.plan, window=32, again=False),
        settings=ever_heard(),
    ).run()
    return seer.judged


def figures(judged: list[_Judged]) -> dict[str, float]:
    """What forecasts were worth."""
    count = len(judged)
    return {
        "jobs": count,
        "p90_coverage": sum(one.started_ms <= one.told.p90_ms for one in judged) / count,
        "raw_p90_coverage": sum(one.started_ms <= one.raw.p90_ms for one in judged) / count,
        "p50_share": sum(one.started_ms <= one.told.p50_ms for one in judged) / count,
        "raw_p50_share": sum(one.started_ms <= one.raw.p50_ms for one in judged) / count,
        "p50_error_s": _median(abs(one.started_ms - one.told.p50_ms) for one in judged),
        "wait_s": _median(one.started_ms - one.made_ms for one in judged),
    }


def _median(ms: Iterable[int]) -> float:
    return statistics.median(ms) / 1000


def cost(times: int) -> dict[str, float]:
    """Time of a forecast over a long queue."""
    seen: list[tuple[Snapshot, PlanConfig]] = []

    def watch(snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        if not seen and sum(len(backlog.jobs) for backlog in snapshot.backlogs) >= _QUEUED:
            seen.append((snapshot, config))
        return Plan(())

    burst = [
        Arrival(0.0, one.user, one.model, one.run_seconds, small=False)
        for one in arrivals(_QUEUED, 0)
    ]
    world = World(
        drafts=draft_jobs(burst[:_QUEUED], most_bytes=20 * _GIB, lie=_LIE, seed=0),
        machine=SimpleMachine(alike(_GPUS, 24 * _GIB), 1),
        policy=Policy(name="idle", plan=watch, window=_QUEUED, again=False),
        settings=ever_heard(),
    )
    while not seen:
        world.step()
    spent = []
    for _ in range(times):
        began = time.process_time()
        found = forecast(*seen[0])
        spent.append(time.process_time() - began)
    return {"forecast_jobs": len(found), "forecast_ms": 1000 * statistics.median(spent)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=3000, help="jobs of each world")
    parser.add_argument("--seeds", type=int, default=3, help="worlds")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    judged = [one for seed in range(options.seeds) for one in judge(options.jobs, seed)]
    found = {name: round(value, 3) for name, value in (figures(judged) | cost(5)).items()}
    if options.json:
        print(json.dumps({**found, "machine": describe()}))
    else:
        for name, value in found.items():
            print(f"{name:20} {value:12,.3f}")
