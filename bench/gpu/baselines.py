"""What vramgate is compared with: one ComfyUI and its queue, several round robin."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp

from bench.gpu import rows
from bench.gpu.clients import Posted, Seat, wait_all
from bench.gpu.jobs import graph, mix
from bench.gpu.setting import Setting, say, versions
from bench.gpu.workers import Workers, marks

#: runs of each case, the first of them not counted: it loads, and its shapes are new
_WARM_RUNS: Final = 3


@asynccontextmanager
async def _running(setting: Setting, name: str, count: int) -> AsyncIterator[Workers]:
    workers = Workers(setting.processes(count), setting.card.readings, setting.place(name))
    try:
        workers.start(setting.start_s)
        yield workers
    finally:
        workers.stop()


@asynccontextmanager
async def _seats(workers: Workers) -> AsyncIterator[list[Seat]]:
    """A client with a websocket at each worker."""
    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(aiohttp.ClientSession())
        yield [await opened.enter_async_context(Seat(http, url).open()) for url in workers.urls]


async def warm_times(setting: Setting) -> None:
    """How long each case takes alone on the narrowed card, its model loaded.

    This also warms the page cache for whatever comes next.
    """
    seconds: dict[str, list[float]] = {}
    names = sorted(set(mix(0, rehearsal=setting.cpu)))
    async with _running(setting, "warm", 1) as workers, _seats(workers) as (seat,):
        for seed, (name, _) in enumerate(itertools.product(names, range(_WARM_RUNS))):
            one = await seat.post(name, graph(name, seed))
            await wait_all([one], setting.limit_s)
            if one.succeeded and one.ended_at is not None:
                seconds.setdefault(name, []).append(round(one.ended_at - one.posted_at, 3))
        told = versions(workers.urls[0])
    counts = Counter(mix(0, rehearsal=setting.cpu))
    warm = {name: min(runs[1:]) for name, runs in seconds.items() if len(runs) > 1}
    found = {"warm": warm, "first": {name: runs[0] for name, runs in seconds.items()}}
    total = sum(warm.get(name, 0.0) * count for name, count in counts.items())
    setting.note("warm", {**told, **found, "warm_sum_s": round(total, 2)})


async def one_worker(setting: Setting) -> None:
    """One ComfyUI with its own queue."""
    await _baseline(setting, "one", 1)


async def round_robin(setting: Setting) -> None:
    """Job k to worker k mod n, as a load balancer does it."""
    await _baseline(setting, "rr", setting.workers)


async def _baseline(setting: Setting, part: str, count: int) -> None:
    jobs = mix(setting.order, times=setting.times, rehearsal=setting.cpu)
    async with _running(setting, part, count) as workers, _seats(workers) as seats:
        told = {**versions(workers.urls[0]), "workers": count}
        for number in range(1, setting.rounds + 1):
            before = marks(workers.logs)
            with setting.card.sampled() as samples:
                posted = await _post(seats, jobs, number)
                await wait_all(posted, setting.limit_s)
            short = marks(workers.logs) - before
            row = {**told, "round": number, **rows.outcome(posted, samples), "marks": dict(short)}
            setting.note(part, row)
            say(f"{part} round {number}: {row['makespan_s']} s, {row['failed']} failed")


async def _post(seats: Sequence[Seat], jobs: Sequence[str], number: int) -> list[Posted]:
    """All at once, each worker's in their order."""
    return [
        await seats[k % len(seats)].post(name, graph(name, number * 10_000 + k))
        for k, name in enumerate(jobs)
    ]
