"""``vramgate up``: everything on this machine, under one supervisor."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import UsageError
from cli.options import ConfigOption, DataDirOption, read_ground
from cli.worker_source import check_simulation, parse_worker
from config.loading import Option

_HERE = "Where it listens"
_GPUS = "What it computes on (none of them: a ComfyUI on port 8188 if there is one, else simulated)"


def up(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on; other machines need 0.0.0.0 and auth.mode: keys.",
            rich_help_panel=_HERE,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on (8288); 0: any free one.", rich_help_panel=_HERE),
    ] = None,
    gateways: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Gateway processes on that port (1); any of them answers anybody.",
            rich_help_panel=_HERE,
        ),
    ] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    worker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL[@gpuN]",
            help="An existing ComfyUI; may be given several times.",
            rich_help_panel=_GPUS,
        ),
    ] = None,
    comfyui: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A ComfyUI checkout: start it on every GPU.",
            rich_help_panel=_GPUS,
        ),
    ] = None,
    workers_per_gpu: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --comfyui: processes per GPU.", rich_help_panel=_GPUS),
    ] = None,
    simulate: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Simulated GPUs, for example gpus=2,vram=24GiB,workers=2,speed=10.",
            rich_help_panel=_GPUS,
        ),
    ] = None,
    day: Annotated[
        bool,
        typer.Option(
            "--day",
            help="Write a simulated day into an empty store first: history for every page.",
            rich_help_panel=_GPUS,
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what all parts do, not only warnings.")
    ] = False,
) -> None:
    """Start gateway, scheduler, agent, recorder and jobs here, and keep them running.

    Brings its own queue server (Valkey) and database (SQLite), unless settings name others.
    Ctrl-C stops everything; queue and history are there again next time.

    [bold]Examples[/bold]

    Try it, with simulated GPUs: vramgate up

    See every page with a day of a studio: vramgate up --day --data-dir /tmp/studio

    Two ComfyUIs on each GPU: vramgate up --comfyui ~/ComfyUI --workers-per-gpu 2

    In front of one that runs: vramgate up --worker http://127.0.0.1:8188@gpu0

    For the whole studio: vramgate up --config vramgate.yaml --host 0.0.0.0 --gateways 2
    """
    options = _options(
        host=host,
        port=port,
        gateways=gateways,
        workers=worker or [],
        comfyui=comfyui,
        workers_per_gpu=workers_per_gpu,
        simulate=simulate,
    )
    ground = read_ground(config, data_dir, options)
    if (spec := ground.source.current().agent.simulate) is not None:
        check_simulation(spec)

    if day:
        from cli.day import fill_with_a_day

        ground.data_dir.mkdir(parents=True, exist_ok=True)
        print(asyncio.run(fill_with_a_day(ground)))

    from cli.system import run_system  # brings the Redis client, which no other command waits for

    sys.exit(asyncio.run(run_system(ground, options, verbose=verbose)))


def _options(
    *,
    host: str | None,
    port: int | None,
    gateways: int | None,
    workers: list[str],
    comfyui: Path | None,
    workers_per_gpu: int | None,
    simulate: str | None,
) -> list[Option]:
    """The command line as settings; naming GPUs replaces what the file names."""
    if simulate is not None and (workers or comfyui):
        raise UsageError(
            "--simulate is instead of real GPUs: leave it out, or --worker and --comfyui"
        )
    if workers_per_gpu is not None and comfyui is None:
        raise UsageError("--workers-per-gpu belongs to --comfyui PATH")
    if comfyui is not None and not (comfyui.expanduser() / "main.py").is_file():
        raise UsageError(f"--comfyui {comfyui}: no main.py there; name a ComfyUI checkout")
    given: list[tuple[str, Any, str]] = []
    if host is not None:
        given.append(("gateway.host", host, "--host"))
    if port is not None:
        given.append(("gateway.port", port, "--port"))
    if gateways is not None:
        given.append(("gateway.processes", gateways, "--gateways"))
    if simulate is not None or workers or comfyui:
        name = "--simulate" if simulate is not None else "--comfyui" if comfyui else "--worker"
        path = str(comfyui.expanduser().absolute()) if comfyui else None
        given += [
            ("agent.simulate", simulate, name),
            ("agent.comfyui.path", path, name),
            ("agent.workers", [parse_worker(text) for text in workers], name),
        ]
    if workers_per_gpu is not None:
        given.append(("agent.comfyui.workers_per_gpu", workers_per_gpu, "--workers-per-gpu"))
    return [Option(path, value, name) for path, value, name in given]
