"""``vramgate simulate``: how a policy would have served a trace, in simulated time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import CliError, UsageError


def simulate(
    trace: Annotated[
        Path, typer.Option(metavar="FILE", help="Requests as CSV or CSV.gz, columns as GenTD26.")
    ],
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of the pool.")] = 64,
    vram: Annotated[str, typer.Option(metavar="SIZE", help="Memory of each GPU.")] = "44GiB",
    load: Annotated[
        float, typer.Option(help="Share of GPU time that the runs alone take, loading not counted.")
    ] = 0.7,
    seeds: Annotated[int, typer.Option(min=1, help="Runs, with seeds 0 to n−1.")] = 5,
    policy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="vramgate, or one of fifo, fifo-warm, round-robin, fair, fair-affinity, oracle.",
        ),
    ] = "vramgate",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    load_times: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Load times as CSV, column value in milliseconds; by default "
            "*basemodel_load* beside the trace, else built-in quantiles.",
        ),
    ] = None,
    workers_per_gpu: Annotated[int, typer.Option(min=1, help="Workers that share a GPU.")] = 1,
    nodes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Hosts as CSV with sn, gpu and model; the first n GPUs."),
    ] = None,
    faults: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="lie=σ of ln(estimate ÷ truth), loss=hosts lost per hour, foreign=bursts of "
            "foreign memory per hour; for example lie=0.25,loss=4,foreign=10.",
        ),
    ] = "",
    limit: Annotated[
        int | None, typer.Option("--limit", "--jobs", min=1, help="Use the first n rows only.")
    ] = None,
    copies: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Copies of the trace laid over each other, its clock scaled to meet the load; "
            "by default 4 (one per 50 GPUs, if more); 0: as many as its own clock needs.",
        ),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Runs at once; by default 2, or as there are cores.")
    ] = None,
) -> None:
    """Run a policy over a trace in simulated time, and tell how long jobs waited.

    The plan, its books and its settings are those of the running system; only time
    and GPUs are made up. Every figure is a mean over the seeds.

    [bold]Example[/bold]: vramgate simulate --trace requests.csv.gz --gpus 64 --vram 44GiB
    """
    # other commands need none of this, and it takes a moment to import
    from cli.simulation import collect, report, table
    from config.values import parse_bytes
    from simulator.world.faults import FaultSpec
    from simulator.world.parallel import default_processes
    from simulator.world.policies import policies
    from simulator.world.run import Setup, Simulation
    from simulator.world.traces import TraceError

    if policy not in policies():
        raise UsageError(f"there is no policy {policy!r}; there are {', '.join(policies())}")
    if not 0 < load < 100:
        raise UsageError(f"--load {load} is no share of GPU time above 0")
    try:
        setup = Setup(
            trace=trace,
            gpus=gpus,
            vram_bytes=int(parse_bytes(vram)),
            load=load,
            load_times=load_times,
            workers_per_gpu=workers_per_gpu,
            nodes=nodes,
            faults=FaultSpec.parse(faults),
            limit=limit,
            copies=copies,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        simulation = Simulation.prepare(setup)
    except TraceError as error:
        raise CliError(str(error)) from error
    tasks = [(policy, seed) for seed in range(seeds)]
    rows = collect(simulation, tasks, parallel or default_processes())
    if as_json:
        print(json.dumps(report(simulation, rows)))
    else:
        print(table(simulation, rows))
