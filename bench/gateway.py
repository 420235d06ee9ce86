"""What the gateway costs: one client, directly at a simulated worker and through vramgate.

Both run at once on this machine and are measured turn by turn, because such
machines are noisy: read the ratios. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from bench.machine import describe, rss_bytes
from tests.clients import Client, ends, image_prompt
from tests.endtoend.stack import REPO, Stack, free_port


class BareWorker:
    """A simulated worker with nothing in front of it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "simulator.comfyui", "--port", str(self.port)]
        command += ["--gpu-dir", "none", "--data-dir", str(folder / "bare"), "--speed", "1000"]
        self.process = subprocess.Popen(command, cwd=REPO, stderr=subprocess.DEVNULL)

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until it answers."""
        for _ in range(300):
            try:
                async with http.get(self.url + "/system_stats") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
        raise TimeoutError("the bare worker did not start")

    def stop(self) -> None:
        """End the process and wait for it."""
        self.process.terminate()
        self.process.wait(10)


async def one_prompt(client: Client, socket: Any, n: int) -> dict[str, float]:
    """Seconds from POST to the answer, to execution_start, to the end."""
    begin = time.perf_counter()
    prompt_id = await client.queue(image_prompt(n, prefix=f"bench{n % 7}"))
    accepted = time.perf_counter() - begin
    started = 0.0
    while True:
        message = await socket.ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        frame = json.loads(message.data)
        if frame["type"] == "execution_start":
            started = time.perf_counter() - begin
        if ends(frame, prompt_id):
            return {"accept": accepted, "start": started, "done": time.perf_counter() - begin}


async def gets_per_second(client: Client, path: str, seconds: float) -> float:
    """Requests answered per second by eight connections that never rest."""
    deadline = time.perf_counter() + seconds
    count = 0

    async def one() -> None:
        nonlocal count
        while time.perf_counter() < deadline:
            async with client.http.get(client.url + path, headers=client.headers) as answer:
                await answer.read()
            count += 1

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(8)))
    return count / (time.perf_counter() - begin)


def spread(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50_ms": round(statistics.median(ordered) * 1e3, 2), "p99_ms": round(p99 * 1e3, 2)}


async def idle_socket_bytes(client: Client, pid: int, sockets: int, stack: AsyncExitStack) -> float:
    """Memory of the gateway per idle socket; the sockets stay open until ``stack`` closes."""
    before = rss_bytes(pid)
    for n in range(sockets):
        url = f"{client.url}/ws?clientId=idle{n}"
        await stack.enter_async_context(client.http.ws_connect(url, headers=client.headers))
    await asyncio.sleep(1)
    return (rss_bytes(pid) - before) / sockets


async def run(prompts: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(folder, "--simulate", "gpus=1,vram=24GiB,workers=1,speed=1000")
        bare = BareWorker(folder)
        try:
            stack.start()
            return await compare(stack, bare, prompts, seconds)
        finally:
            bare.stop()
            stack.stop()


async def compare(stack: Stack, bare: BareWorker, prompts: int, seconds: float) -> dict[str, Any]:
    times: dict[str, dict[str, list[float]]] = {}
    rates: dict[str, dict[str, float]] = {}
    async with AsyncExitStack() as open_:
        connector = aiohttp.TCPConnector(limit=0)
        http = await open_.enter_async_context(aiohttp.ClientSession(connector=connector))
        await bare.ready(http)
        sides = {"direct": Client(http, bare.url), "gateway": Client(http, stack.url)}
        gateway = stack.pids()["gateway"]
        idle = await idle_socket_bytes(sides["gateway"], gateway, 100, open_)
        sockets = {s: await open_.enter_async_context(c.socket()) for s, c in sides.items()}
        for n in range(prompts):
            for side, client in sides.items():
                for what, took in (await one_prompt(client, sockets[side], n)).items():
                    times.setdefault(side, {}).setdefault(what, []).append(took)
        for path in ("/object_info", "/queue", "/system_stats"):
            for side, client in sides.items():
                rate = await gets_per_second(client, path, seconds)
                rates.setdefault(side, {})[path] = round(rate, 1)
    report: dict[str, Any] = {"machine": describe(), "prompts": prompts, "idle_sockets": 100}
    for side in times:
        report[side] = {what: spread(took) for what, took in times[side].items()}
        report[side]["gets_per_s"] = rates[side]
    report["idle_socket_kib"] = round(idle / 1024, 1)
    return report


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200, help="prompts on each side")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds per GET route and side")
    parser.add_argument("--json", action="store_true", help="one line instead of indented")
    options = parser.parse_args()
    report = asyncio.run(run(options.prompts, options.seconds))
    print(json.dumps(report, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
