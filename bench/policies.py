"""All policies over one trace, in simulated time: waits, warm starts, fairness."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cli.errors import CliError
from cli.simulation import collect, report, table
from config.values import parse_bytes
from simulator.world.parallel import default_processes
from simulator.world.policies import policies
from simulator.world.run import Setup, Simulation
from simulator.world.traces import TraceError


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, required=True, metavar="FILE")
    parser.add_argument("--load-times", type=Path, metavar="FILE")
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--vram", default="44GiB", metavar="SIZE")
    parser.add_argument("--load", type=float, default=0.7)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--limit", type=int, metavar="ROWS", help="the first rows of the trace only"
    )
    parser.add_argument("--parallel", type=int, default=default_processes())
    parser.add_argument(
        "--policies", nargs="+", choices=[*policies()], default=[*policies()], metavar="NAME"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def main() -> None:
    """Print the table: each policy's means over the same seeds, that is the same jobs."""
    options = _options()
    try:
        setup = Setup(
            trace=options.trace,
            gpus=options.gpus,
            vram_bytes=int(parse_bytes(options.vram)),
            load=options.load,
            load_times=options.load_times,
            limit=options.limit,
        )
        simulation = Simulation.prepare(setup)
        tasks = [(policy, seed) for policy in options.policies for seed in range(options.seeds)]
        rows = collect(simulation, tasks, options.parallel)
    except (CliError, TraceError, ValueError) as error:
        sys.exit(f"error: {error}")
    if options.json:
        by_policy = {
            policy: report(simulation, [row for row in rows if row.policy == policy])
            for policy in options.policies
        }
        print(json.dumps({"policies": by_policy}))
    else:
        print(table(simulation, rows))
