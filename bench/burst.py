"""A burst of 32, 2 and 3 prompts of three users at once: when the small ones start, how fair it is.

What users of shared ComfyUIs complain of: one colleague's batch, and everybody else
waits for all of it. Simulated time, production plan and books, each job of ``--seconds``.
Reported are each user's first start, and Jain's index of the GPU-seconds received
while all three had something queued. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, field

from scheduler.decisions import Admit, Plan
from scheduler.fairness import jain
from scheduler.plan_config import PlanConfig
from scheduler.policy import plan
from scheduler.states import Snapshot
from simulator.world.draft import draft_jobs
from simulator.world.nodes import alike
from simulator.world.planner import Policy
from simulator.world.policies import PRODUCTION, policies
from simulator.world.run import ever_heard
from simulator.world.simple_machine import SimpleMachine
from simulator.world.workload import Arrival, Model
from simulator.world.world import EPOCH_MS, World

_BURST = {"ann": 32, "bob": 2, "cyd": 3}
_VRAM_BYTES = 24 * 2**30


@dataclass(slots=True)
class _Starts:
    """Listens to the production plan."""

    first: dict[str, float] = field(default_factory=dict)
    #: promised GPU-seconds by user while everybody had something queued
    received: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def plan(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        made = plan(snapshot, now_ms, config)
        queued = {backlog.user: backlog.queued for backlog in snapshot.backlogs}
        for admit in (d for d in made.decisions if isinstance(d, Admit)):
            user = admit.job.user
            self.first.setdefault(user, (now_ms - EPOCH_MS) / 1000)
            if all(queued.get(name, 0) for name in _BURST):
                self.received[user] += admit.grant.seconds - admit.grant.load_seconds
            queued[user] -= 1
        return made


def run(gpus: int, seconds: float, load_seconds: float) -> dict[str, float]:
    """One burst on idle, empty GPUs."""
    model = Model(name="m", bytes=7 * 2**30, load_seconds=load_seconds)
    arrivals = [
        Arrival(0.0, user, model, seconds, small=False)
        for user, count in _BURST.items()
        for _ in range(count)
    ]
    starts = _Starts()
    window = policies()[PRODUCTION]().window
    world = World(
        drafts=draft_jobs(arrivals, most_bytes=_VRAM_BYTES // 2, lie=0.0, seed=0),
        machine=SimpleMachine(alike(gpus, _VRAM_BYTES), 1),
        policy=Policy(name=PRODUCTION, plan=starts.plan, window=window, again=False),
        settings=ever_heard(),
    )
    world.run()
    figures = {f"first_start_{user}_s": starts.first[user] for user in _BURST}
    return {**figures, "jain": jain(starts.received.get(user, 0.0) for user in _BURST)}


def main() -> None:
    """Print the figures for one, two and four GPUs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each job")
    parser.add_argument("--load-seconds", type=float, default=10.0, help="of its model")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    rows = {gpus: run(gpus, options.seconds, options.load_seconds) for gpus in (1, 2, 4)}
    if options.json:
        print(json.dumps({"job_s": options.seconds, "gpus": rows}))
        return
    for gpus, row in rows.items():
        told = "  ".join(f"{name} {value:.3f}" for name, value in row.items())
        print(f"{gpus} GPU{'s' if gpus > 1 else ' '}  {told}")


if __name__ == "__main__":
    main()
