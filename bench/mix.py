"""36 measured jobs on one shared GPU of 24 GiB, in simulated time: every policy and the bound."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from simulator.mix.cases import load_facts
from simulator.mix.run import POLICIES, Comparison, compare


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--times", type=int, choices=(1, 3), default=1, help="how often the mix is posted"
    )
    parser.add_argument(
        "--policy", action="append", choices=POLICIES, help="only this one; may be repeated"
    )
    parser.add_argument(
        "--workers",
        type=int,
        action="append",
        help="processes of the production plan; may be repeated; default 2, 3 and 4",
    )
    parser.add_argument(
        "--profiles",
        type=Path,
        metavar="FILE",
        help="another recording, as simulator/mix/h200.json",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def table(found: Comparison) -> str:
    """The comparison for people."""
    lines = [
        f"{'policy':12} {'workers':>7} {'makespan':>9} {'÷ fifo':>7} {'÷ robin':>8} "
        f"{'failed':>6} {'loads':>5} {'peak':>9}  measured"
    ]
    for row in found.rows:
        measured = ", ".join(f"{seconds:.0f} s" for seconds in row.measured_s)
        lines.append(
            f"{row.policy:12} {row.workers:7} {row.makespan_s:7.1f} s {row.over_fifo:6.2f}× "
            f"{row.over_round_robin:7.2f}× {row.failed:6} {row.loads:5} "
            f"{row.peak_bytes / 2**30:5.1f} GiB  {measured}"
        )
    floor = found.bound
    lines.append(
        f"bound: {floor.seconds:.1f} s = {floor.warm_seconds:.1f} s warm ÷ {floor.gain:.2f} "
        f"+ {floor.load_seconds:.1f} s of first use and loads"
    )
    return "\n".join(lines)


def main() -> None:
    """Run it and print the table."""
    options = _options()
    found = compare(
        load_facts(options.profiles) if options.profiles else load_facts(),
        times=options.times,
        workers=options.workers or (2, 3, 4),
        policies=options.policy or POLICIES,
    )
    print(json.dumps(asdict(found)) if options.json else table(found))


if __name__ == "__main__":
    main()
