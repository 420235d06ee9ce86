"""The mix of ``bench mix`` under the production plan, in several orders of its jobs."""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict, dataclass

from bench.gpu.jobs import mix
from scheduler.states import MemoryLimit
from simulator.mix.cases import Facts, load_facts
from simulator.mix.production import drafts, run_production
from simulator.mix.shared_gpu import SharedGpu

_MIB = 2**20
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Run:
    """One order: 0 as recorded, n shuffled with seed n."""

    order: int
    makespan_s: float
    loads: int


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--orders", type=int, default=6, metavar="N", help="so many, the recorded one first (6)")
    add("--workers", type=int, default=3, metavar="N", help="processes that share the card (3)")
    add("--times", type=int, default=1, metavar="N", help="how often the mix is posted (1)")
    add("--gib", type=float, default=24.0, help="size of the card (24)")
    add("--context", type=int, default=670, metavar="MIB", help="of a process beside torch (670)")
    add("--first-use", type=float, default=0.5, metavar="S", help="of a warmed process (0.5)")
    add("--apart", type=float, default=0.006, metavar="S", help="from one prompt to the next")
    add("--estimates", type=float, default=1.0, metavar="F", help="seconds believed ÷ alone (1)")
    add("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def run(facts: Facts, order: int, options: argparse.Namespace) -> Run:
    """The jobs in one order.

    Raises:
        WorldError: the plan leaves jobs waiting for ever.
    """
    gpu = SharedGpu(
        facts.cases,
        total_bytes=int(options.gib * _GIB),
        workers=options.workers,
        context_bytes=options.context * _MIB,
        limit=MemoryLimit.TOLD,
        first_use_seconds=options.first_use,
    )
    jobs = [facts.cases[name] for name in mix(order, times=options.times)]
    posted = drafts(jobs, apart_seconds=options.apart, estimates=options.estimates)
    world = run_production(gpu, posted)
    return Run(order, round(world.now, 2), gpu.loads)


def main() -> None:
    """Run them all and print them with their mean."""
    options = _options()
    facts = load_facts()
    runs = [run(facts, order, options) for order in range(options.orders)]
    mean = round(statistics.fmean(each.makespan_s for each in runs), 2)
    if options.json:
        print(json.dumps({"mean_s": mean, "runs": [asdict(each) for each in runs]}))
        return
    for each in runs:
        print(f"order {each.order}  {each.makespan_s:7.1f} s  {each.loads} loads")
    print(f"mean     {mean:7.1f} s")


if __name__ == "__main__":
    main()
