"""``vramgate agent``: drives the ComfyUI workers of this host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.boot import check_layout, cluster_token, connect_ledger, redis_url, run_role
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.version import own_version
from cli.worker_source import check_simulation, parse_worker
from config.loading import Option
from config.probe import Probe
from config.settings import Settings

if TYPE_CHECKING:
    from worker_agent.launch import LaunchSpec
    from worker_agent.nvml import GpuReader, GpuReading


def agent(
    worker: Annotated[
        list[str] | None,
        typer.Option(metavar="URL[@gpuN]", help="An existing ComfyUI; may be given several times."),
    ] = None,
    comfyui: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A ComfyUI checkout: start it on every GPU."),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The pool's queue: redis://… or, encrypted, rediss://…"),
    ] = None,
    token: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The cluster token, copied from a gateway's host."),
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Drive this host's ComfyUI workers: one agent per GPU host.

    Needs redis.url (or a running `vramgate up` on the same --data-dir) and the cluster token;
    gateways on other hosts reach it at agent.advertise.

    [bold]Example[/bold]: vramgate agent --redis rediss://queue:6379 --token cluster.token --comfyui ~/ComfyUI
    """
    options = []
    if worker:
        workers = [parse_worker(text) for text in worker]
        options.append(Option("agent.workers", workers, "--worker"))
    if comfyui is not None:
        path = str(comfyui.expanduser().absolute())
        options.append(Option("agent.comfyui.path", path, "--comfyui"))
    if redis is not None:
        options.append(Option("redis.url", redis, "--redis"))
    if token is not None:
        options.append(Option("cluster.token_file", str(token.expanduser().absolute()), "--token"))
    ground = read_ground(config, data_dir, options)
    settings = ground.source.current().agent
    if settings.simulate is not None:
        check_simulation(settings.simulate)
    elif settings.comfyui.path is None and not settings.workers:
        raise CliError(
            "this agent has no workers: name an existing ComfyUI with --worker URL, a checkout to "
            "start with --comfyui PATH, or agent.simulate in the config file"
        )
    run_role("agent", ground, lambda: drive(ground))


async def drive(ground: Ground) -> None:
    """Drive the workers until cancelled, then stop those that we started."""
    from worker_agent.agent import Agent
    from worker_agent.heartbeat import AgentReplaced

    settings = ground.source.current()
    agent_id = settings.agent.id or host_name()
    home = agent_home(ground.data_dir)
    token = cluster_token(settings, ground.data_dir)
    reader, specs = await asyncio.to_thread(prepare, settings, agent_id, home, token)
    ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
    try:
        await check_layout(ledger)
        await Agent(
            settings=ground.source.current,
            ledger=ledger,
            reader=reader,
            specs=specs,
            agent_id=agent_id,
            data_dir=home,
            token=token,
            version=own_version(),
            clock=time.monotonic,
            wall=time.time,
            new_id=lambda: str(uuid.uuid4()),
        ).run()
    except AgentReplaced as error:
        raise CliError(str(error)) from error
    finally:
        await ledger.close()


def prepare(
    settings: Settings, agent_id: str, home: Path, token: str
) -> tuple[GpuReader | None, list[LaunchSpec]]:
    """What reads the GPUs, and which workers to start.

    Raises:
        CliError: the ComfyUI named is none.
    """
    from worker_agent.amd import open_amd_reader
    from worker_agent.launch import NotComfyui, comfyui_specs
    from worker_agent.nvml import open_reader
    from worker_agent.probe_pack import lay_out

    if settings.agent.simulate is not None:
        return _simulated(settings.agent.simulate, agent_id, home, settings.probe, token)
    reader = open_reader() or open_amd_reader()
    if settings.agent.comfyui.path is None:
        return reader, []
    readings = reader.devices() if reader is not None else []
    if settings.agent.comfyui.mps:
        _check_mps(readings)
    try:
        return reader, comfyui_specs(
            settings.agent.comfyui,
            readings,
            agent_id,
            home,
            free_port,
            settings.gateway.max_body,
            lay_out(home, settings.probe, token) if settings.probe.enabled else None,
        )
    except NotComfyui as error:
        raise CliError(str(error)) from error


def _check_mps(readings: list[GpuReading]) -> None:
    """Raises CliError where MPS cannot be started."""
    from worker_agent.mps import CONTROL

    if shutil.which(CONTROL) is None:
        raise CliError(
            f"agent.comfyui.mps: there is no {CONTROL} on the PATH; it comes with the NVIDIA driver"
        )
    if any(reading.uuid.startswith("MIG-") for reading in readings):
        raise CliError("agent.comfyui.mps: not on GPUs divided by MIG; leave one of the two out")


def kill_left_workers(data_dir: Path) -> int:
    """Kill workers of an agent that had to be killed itself; counts them."""
    from worker_agent.mps_client import mps_home
    from worker_agent.supervisor import Registry, start_time

    home = agent_home(data_dir)
    registries = (Registry(home / "workers.json"), Registry(mps_home(home) / "daemon.json"))
    left = [
        noted.pid
        for registry in registries
        for noted in registry.read().values()
        if start_time(noted.pid) == noted.started
    ]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):  # each leads a session of its own
            os.killpg(pid, signal.SIGKILL)
    return len(left)


def agent_home(data_dir: Path) -> Path:
    """The agent's part of the data folder."""
    return data_dir / "agent"


def host_name() -> str:
    """This host's name in letters that ids may have."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()).lstrip("_.-")[:48] or "host"


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _simulated(
    text: str, agent_id: str, home: Path, probe: Probe, token: str
) -> tuple[GpuReader, list[LaunchSpec]]:
    from simulator.launch import prepare_gpus, worker_command
    from simulator.nvml import FakeNvml
    from simulator.spec import SimulationSpec
    from worker_agent.launch import LaunchSpec, worker_environment
    from worker_agent.probe_pack import probe_environment

    spec = SimulationSpec.parse(text)
    directories = prepare_gpus(spec, home / "simulated")
    reader = FakeNvml(directories)
    uuids = [reading.uuid for reading in reader.devices()]
    places: list[tuple[Path | None, str | None]] = list(zip(directories, uuids, strict=True))
    specs = []
    for number, (directory, gpu) in enumerate(
        place for place in places or [(None, None)] for _ in range(spec.workers)
    ):
        worker = f"{agent_id}-{number}"
        own, port = home / "workers" / worker, free_port()
        own.mkdir(parents=True, exist_ok=True)
        told = probe_environment(worker, probe, token) if probe.enabled else {}
        specs.append(
            LaunchSpec(
                id=worker,
                command=tuple(worker_command(sys.executable, port, directory, own, spec)),
                env=worker_environment(os.environ) | told,
                url=f"http://127.0.0.1:{port}",
                gpu_uuid=gpu,
                log_path=own / "worker.log",
                # a folder of ours: what lies where `up` was called must not be imported
                cwd=own,
                folders={name: own / name for name in ("output", "input", "temp")},
            )
        )
    return reader, specs
