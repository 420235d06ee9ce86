"""What the dashboard costs: the gateway with 200 pages open, and the browser with 50,000 points.

``./run bench dashboard [--pages N] [--seconds S] [--jobs N] [--json]``. Needs Chromium and the built
page (``./run ui``). Processor time of the gateway is that of a whole ``vramgate up`` with simulated
GPUs, at rest: without pages, then with them, each page a user of its own. Main-thread time is all that
Chromium did (``TaskDuration``) divided by the messages that came, clocks of the page included.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.dashboard_browser import chromium, interactive, live, long_queue
from bench.dashboard_pool import foresee, queue_up, serve
from bench.machine import cpu_seconds, describe, rss_bytes
from cli.valkey import EmbeddedValkey
from dashboard.pages import STATIC
from scheduler.redis_ledger import RedisLedger
from tests.endtoend.stack import Stack

_SETTLE_S: Final = 5.0
Json = dict[str, Any]


async def gateway_at_rest(pages: int, seconds: float) -> Json:
    """Shares of a core that the gateway takes without pages, and with so many."""
    users = "".join(f"  - {{name: user-{n:03}, key: key-of-user-{n:03}}}\n" for n in range(pages))
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(
            Path(folder),
            *("--simulate", "gpus=4,vram=24GiB,workers=2"),
            config=f"auth: {{mode: keys}}\nusers:\n{users}",
        )
        try:
            await asyncio.to_thread(stack.start)
            pid = stack.pids()["gateway"]
            await asyncio.sleep(_SETTLE_S)
            without = await _share(pid, seconds)
            async with aiohttp.ClientSession() as http:
                told = [0]
                sockets = [
                    asyncio.create_task(_page(http, stack.url, n, told)) for n in range(pages)
                ]
                await asyncio.sleep(_SETTLE_S + pages / 50)
                told[0], before = 0, rss_bytes(pid)
                with_pages = await _share(pid, seconds)
                for socket in sockets:
                    socket.cancel()
                await asyncio.gather(*sockets, return_exceptions=True)
        finally:
            await asyncio.to_thread(stack.stop)
    return {
        "pages": pages,
        "core_percent_without": without,
        "core_percent_with": with_pages,
        "core_percent_of_pages": round(with_pages - without, 2),
        "messages_per_second": round(told[0] / seconds, 1),
        "gateway_mib": before >> 20,
    }


async def _page(http: aiohttp.ClientSession, url: str, number: int, told: list[int]) -> None:
    headers = {"Authorization": f"Bearer key-of-user-{number:03}"}
    address = f"{url}/dashboard/api/v1/live"
    async with http.ws_connect(address, headers=headers, max_msg_size=0) as socket:
        async for _ in socket:
            told[0] += 1


async def _share(pid: int, seconds: float) -> float:
    before, began = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return round(100 * (cpu_seconds(pid) - before) / (time.monotonic() - began), 2)


async def the_queue(ledger: RedisLedger, url: str, jobs: int) -> Json:
    """Milliseconds of one page of the whole queue: at first, again, and after all have changed."""
    await queue_up(ledger, jobs)
    epoch = await ledger.lead("bench", 600_000)
    if epoch is None:
        raise SystemExit("somebody else leads the bench's pool")
    times: dict[str, list[float]] = {"first_ms": [], "again_ms": [], "changed_ms": []}
    async with aiohttp.ClientSession() as http:
        times["first_ms"].append(await _ask(http, url))
        for shift in range(5):
            await asyncio.sleep(1)
            times["again_ms"].append(await _ask(http, url))
            await foresee(ledger, epoch, shift)
            await asyncio.sleep(1)
            times["changed_ms"].append(await _ask(http, url))
    return {
        "jobs": jobs,
        **{name: round(statistics.median(some), 1) for name, some in times.items()},
    }


async def _ask(http: aiohttp.ClientSession, url: str) -> float:
    began = time.perf_counter()
    async with http.get(f"{url}/dashboard/api/v1/queue?rows=100") as answer:
        answer.raise_for_status()
        await answer.read()
    return (time.perf_counter() - began) * 1000


def bundle() -> Json:
    """Kilobytes (gzip) of all that a browser would load if every page were opened."""
    sizes = {
        file.name: len(gzip.compress(file.read_bytes(), 9)) / 1000
        for file in sorted((STATIC / "assets").iterdir())
    }
    return {
        "all_kb_gzip": round(sum(sizes.values()), 1),
        "largest_kb_gzip": round(max(sizes.values()), 1),
    }


async def measure(pages: int, seconds: float, jobs: int) -> Json:
    """Everything, one after the other."""
    found: Json = {"machine": describe(), "bundle": bundle()}
    found["gateway"] = await gateway_at_rest(pages, seconds)
    with tempfile.TemporaryDirectory() as name, EmbeddedValkey(Path(name)) as server:
        ledger = RedisLedger.connect(server.url, "bench")
        async with serve(ledger, Path(name)) as url, chromium() as browser:
            await asyncio.sleep(2)
            found["browser"] = {
                **await interactive(browser, url, rounds=5),
                **await live(browser, url, seconds),
            }
            scheduler = RedisLedger.connect(server.url, "bench")
            found["queue"] = await the_queue(scheduler, url, jobs)
            await scheduler.close()
            found["queue"] |= await long_queue(browser, url)
        await ledger.close()
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=200, help="dashboards that are open")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--jobs", type=int, default=10_000, help="that wait")
    parser.add_argument("--json", action="store_true", help="nothing but JSON")
    options = parser.parse_args()
    if not (STATIC / "index.html").is_file():
        raise SystemExit("the page is not built: ./run ui")
    found = asyncio.run(measure(options.pages, options.seconds, options.jobs))
    if options.json:
        print(json.dumps(found))
        return
    for part, figures in found.items():
        print(part)
        for figure, value in figures.items():
            print(f"  {figure:28} {value}")


if __name__ == "__main__":
    main()
