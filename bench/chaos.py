"""Virtual hours of the whole system with faults, all invariants after every step; a failure replays."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from simulator.chaos.episode import Outcome, Plan, run_episode
from simulator.chaos.faults import KINDS, UnknownFault, parse_kinds

_HOUR_S = 3600.0


def _options() -> argparse.Namespace:
    kinds = "\n".join(f"  {name:9} {about}" for name, (_, about) in KINDS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"faults, of which each episode draws some:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hours", type=float, default=1.0, help="virtual hours (1)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (1)")
    parser.add_argument("--episode", type=int, metavar="K", help="only this episode of the seed")
    parser.add_argument("--minutes", type=float, default=60.0, help="virtual ones per episode (60)")
    parser.add_argument("--faults", default="all", metavar="LIST", help="crash,pause,… or all")
    parser.add_argument("--parallel", type=int, default=1, help="processes (1)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser.parse_args()


def main() -> None:
    """Run episodes until the hours are over or one fails; exit code 1 if one did."""
    options = _options()
    try:
        kinds = parse_kinds(options.faults)
    except UnknownFault as error:
        sys.exit(f"error: {error}")
    plans = list(_plans(options, kinds))
    began = time.monotonic()
    outcomes = list(_until_broken(plans, options.parallel, began))
    seconds = time.monotonic() - began
    broken = [outcome for outcome in outcomes if outcome.violation is not None]
    report = _report(options, outcomes, seconds)
    if options.json:
        print(json.dumps(report))
    else:
        _print(report)
    for outcome in broken[:1]:
        _explain(options, outcome)
    sys.exit(1 if broken else 0)


def _plans(options: argparse.Namespace, kinds: Sequence[str]) -> Iterator[Plan]:
    seconds = options.minutes * 60
    count = max(1, round(options.hours * _HOUR_S / seconds))
    for episode in range(count) if options.episode is None else [options.episode]:
        yield Plan(seed=options.seed, episode=episode, seconds=seconds, kinds=tuple(kinds))


def _until_broken(plans: Sequence[Plan], parallel: int, began: float) -> Iterator[Outcome]:
    if parallel <= 1:
        yield from _shown(map(run_episode, plans), len(plans), began)
        return
    with multiprocessing.get_context("spawn").Pool(parallel) as pool:
        yield from _shown(pool.imap(run_episode, plans), len(plans), began)


def _shown(outcomes: Iterator[Outcome], count: int, began: float) -> Iterator[Outcome]:
    hours = 0.0
    for number, outcome in enumerate(outcomes, start=1):
        hours += outcome.virtual_seconds / _HOUR_S
        line = f"episode {number}/{count}: {hours:.1f} virtual hours in"
        print(f"{line} {time.monotonic() - began:.0f} s", end="\r", file=sys.stderr, flush=True)
        yield outcome
        if outcome.violation is not None:
            break
    print(file=sys.stderr)


def _report(
    options: argparse.Namespace, outcomes: Sequence[Outcome], seconds: float
) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts.update(outcome.counts)
    hours = sum(outcome.virtual_seconds for outcome in outcomes) / _HOUR_S
    failure = outcomes[-1].violation
    return {
        "seed": options.seed,
        "episodes": len(outcomes),
        "virtual_hours": round(hours, 2),
        "seconds": round(seconds, 1),
        "virtual_hours_per_second": round(hours / seconds, 4),
        "steps": sum(outcome.steps for outcome in outcomes),
        "counts": dict(sorted(counts.items())),
        "violation": None if failure is None else str(failure),
        "replay": None if failure is None else _command(options, outcomes[-1]),
    }


def _command(options: argparse.Namespace, outcome: Outcome) -> str:
    words = [
        "./run bench chaos",
        f"--seed {outcome.plan.seed}",
        f"--episode {outcome.plan.episode}",
    ]
    if options.minutes != 60.0:
        words.append(f"--minutes {options.minutes:g}")
    if options.faults != "all":
        words.append(f"--faults {options.faults}")
    return " ".join(words)


def _print(report: dict[str, Any]) -> None:
    for name, value in report["counts"].items():
        print(f"{name:24} {value:>9,}")
    print(
        f"{report['virtual_hours']} virtual hours in {report['episodes']} episodes, "
        f"{report['steps']:,} steps, {report['virtual_hours_per_second']} hours per second"
    )


def _explain(options: argparse.Namespace, outcome: Outcome) -> None:
    say = sys.stderr.write
    say("\n".join(outcome.tail) + os.linesep)
    say(f"\nfaults: {', '.join(outcome.mix.kinds)}\nbroken: {outcome.violation}\n")
    cause = outcome.violation.__cause__ if outcome.violation else None
    if cause is not None:
        traceback.print_exception(cause)
    say(f"replay: {_command(options, outcome)}\n")
