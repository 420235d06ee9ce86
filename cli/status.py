"""``vramgate status``: what runs, who waits."""

from __future__ import annotations

import asyncio
import time

from cli.boot import LiveSettings, connect_ledger, redis_url
from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from cli.runstate import RunState, read_state
from config.maintenance import Maintenance
from scheduler.ledger import LedgerUnavailable, Pool, UserCounts
from scheduler.states import Gpu


def status(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Show the instance on this data folder (or on redis.url): parts, GPUs, workers, queue.

    [bold]Example[/bold]: vramgate status --data-dir /srv/vramgate
    """
    ground = read_ground(config, data_dir)
    state = read_state(ground.data_dir)
    try:
        pool, counts, maintenance = asyncio.run(_ask(ground))
    except LedgerUnavailable as error:
        raise CliError(str(error)) from error
    for line in [*_instance(state), *_pool_lines(pool), *_queue_lines(counts)]:
        print(line)
    if not maintenance.over(time.time()):
        print(f"maintenance: nothing new starts. {maintenance.message}".rstrip())


async def _ask(ground: Ground) -> tuple[Pool, list[UserCounts], Maintenance]:
    settings = ground.source.current()
    ledger = connect_ledger(settings, redis_url(settings, ground.data_dir))
    try:
        live = LiveSettings(ground)
        await live.read(ledger)
        return await ledger.pool(), await ledger.counts(), live().maintenance
    finally:
        await ledger.close()


def _instance(state: RunState | None) -> list[str]:
    if state is None:
        return ["not started by `vramgate up` on this data folder; this is what Redis knows"]
    hours, rest = divmod(int(time.time() - state.started), 3600)
    lines = [
        f"gateway    {state.gateway}",
        f"dashboard  {state.dashboard}",
        f"runs on    {state.runs_on}",
        f"up since   {hours} h {rest // 60} min (process {state.pid})",
    ]
    for name, service in state.services.items():
        condition = f"process {service['pid']}" if service["pid"] else "down, being restarted"
        again = f", restarted {service['restarts']} times" if service["restarts"] else ""
        lines.append(f"  {name:10} {condition}{again}")
    return lines


def _pool_lines(pool: Pool) -> list[str]:
    lines = [f"GPUs       {len(pool.gpus)}"]
    for gpu in pool.gpus.values():
        used, total = gpu.used_bytes / 2**30, gpu.total_bytes / 2**30
        lines.append(
            f"  {gpu.name}: {used:.1f} of {total:.1f} GiB used, {gpu.state.value.lower()}{_vitals(gpu)}"
        )
    lines.append(f"workers    {len(pool.workers)}")
    for worker in pool.workers.values():
        doing = f"runs {worker.job}" if worker.job else worker.state.value.lower()
        more = f" ({worker.detail})" if worker.detail else ""
        lines.append(f"  {worker.id}: {doing}{more}")
    return lines


def _vitals(gpu: Gpu) -> str:
    told = gpu.vitals
    parts = [
        "" if told.temperature_c is None else f"{told.temperature_c} °C",
        "" if told.power_mw is None else f"{told.power_mw / 1000:.0f} W",
        f"slowed down: {', '.join(told.throttled)}" if told.throttled else "",
        "" if told.by_process else "memory by process is not told: workers count their own",
        told.trouble,
        f"also claimed by agent {gpu.rival}" if gpu.rival else "",
    ]
    return "".join(f", {part}" for part in parts if part)


def _queue_lines(counts: list[UserCounts]) -> list[str]:
    queued, running = sum(one.queued for one in counts), sum(one.running for one in counts)
    lines = [f"jobs       {running} running, {queued} queued"]
    lines += [f"  {one.user}: {one.running} running, {one.queued} queued" for one in counts]
    return lines
