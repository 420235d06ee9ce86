"""Simulations at a terminal: run them with a bar, and write down what they showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.errors import CliError
from simulator.world.parallel import run_all
from simulator.world.run import Row, Simulation, summary
from simulator.world.world import WorldError

#: columns of a table: figure, heading, how it is written
_COLUMNS: Final = (
    ("mean_wait_s", "mean", ",.1f"),
    ("p50_wait_s", "p50", ",.1f"),
    ("p95_wait_s", "p95", ",.0f"),
    ("p99_wait_s", "p99", ",.0f"),
    ("max_wait_s", "max", ",.0f"),
    ("small_tenant_wait_s", "small", ",.1f"),
    ("warm_hit", "warm hit", ".3f"),
    ("load_share", "loading", ".1%"),
    ("jain", "Jain", ".3f"),
)


def collect(simulation: Simulation, tasks: Sequence[tuple[str, int]], processes: int) -> list[Row]:
    """Run every (policy, seed), with a bar where stderr is a terminal; rows in the tasks' order.

    Raises:
        CliError: a policy leaves jobs waiting for ever.
    """
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("jobs"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not Console(stderr=True).is_terminal,
        transient=True,
    )
    jobs = simulation.jobs() * len(tasks)
    try:
        with progress:
            bar = progress.add_task(f"{len(tasks)} runs", total=jobs)
            rows = list(
                run_all(simulation, tasks, processes, lambda more: progress.advance(bar, more))
            )
    except WorldError as error:
        raise CliError(f"{error}; other options may let them start (--vram, --gpus)") from error
    places = {task: place for place, task in enumerate(tasks)}
    return sorted(rows, key=lambda row: places[row.policy, row.seed])


def report(simulation: Simulation, rows: Sequence[Row]) -> dict[str, Any]:
    """One policy's figures: means over its seeds, then a row for each seed."""
    setup = simulation.setup
    return {
        "policy": rows[0].policy,
        "trace": setup.trace.name,
        "gpus": setup.gpus,
        "vram_bytes": setup.vram_bytes,
        "workers_per_gpu": setup.workers_per_gpu,
        "load": setup.load,
        "copies": simulation.copies(),
        "seeds": len(rows),
        **{name: _rounded(value) for name, value in summary(rows).items()},
        "rows": [{k: _rounded(v) for k, v in row.flat().items()} for row in rows],
    }


def table(simulation: Simulation, rows: Sequence[Row]) -> str:
    """Policies below each other, in the rows' order: means over the seeds ± their deviation."""
    setup = simulation.setup
    seeds = len({row.seed for row in rows})
    lines = [
        f"{setup.trace.name}: {simulation.jobs():,} jobs, {setup.gpus} GPUs, load {setup.load:g}, "
        f"{seeds} seed{'s' if seeds > 1 else ''}; waits in seconds",
        "",
        f"{'policy':14} {'wait':>16} "
        + " ".join(f"{heading:>8}" for _, heading, _ in _COLUMNS[1:]),
    ]
    for policy in dict.fromkeys(row.policy for row in rows):
        figures = summary([row for row in rows if row.policy == policy])
        mean = f"{figures['mean_wait_s']:,.1f} ± {figures['mean_wait_s_sd']:,.1f}"
        rest = " ".join(f"{format(figures[key], how):>8}" for key, _, how in _COLUMNS[1:])
        lines.append(f"{policy:14} {mean:>16} {rest}")
    return "\n".join(lines)


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value
