"""How soon a waiting job starts once device memory comes free.

A process that is not ours takes most of a simulated card; a prompt waits with
``no_headroom``; the process lets go. Reported: seconds from that moment to the
client's ``execution_start``. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from bench.machine import describe
from simulator.gpu import SimulatedGpu
from tests.clients import Client, sampling_prompt
from tests.endtoend.stack import Stack

_GIB = 2**30


async def until_waiting(client: Client, prompt_id: str, reason: str) -> None:
    """Until the pool's overview says that this prompt waits for that reason."""
    while True:
        overview = await client.get("/dashboard/api/v1/overview")
        if any(
            row["prompt_id"] == prompt_id and row["wait_reason"] == reason
            for row in overview["waiting"]
        ):
            return
        await asyncio.sleep(0.05)


async def one_wait(client: Client, gpu: SimulatedGpu, seed: int) -> float:
    """Seconds from the memory coming free to the start."""
    gpu.set_foreign(20 * _GIB)
    await asyncio.sleep(1.5)
    async with client.socket() as socket:
        prompt_id = await client.queue(sampling_prompt(seed, steps=2))
        await until_waiting(client, prompt_id, "no_headroom")
        gpu.set_foreign(0)
        freed = time.perf_counter()
        async for message in socket.ws:
            if message.type is aiohttp.WSMsgType.TEXT and '"execution_start"' in message.data:
                took = time.perf_counter() - freed
                await socket.until_done(prompt_id)  # or the next round would rob it
                return took
    raise ConnectionError("the socket closed before the prompt started")


async def run(repeats: int) -> dict[str, Any]:
    """Start a stack, wait that often, report."""
    with tempfile.TemporaryDirectory() as name:
        stack = Stack(Path(name), "--simulate", "gpus=1,vram=24GiB,workers=2,speed=50")
        stack.start()
        try:
            (folder,) = {found.parent for found in stack.data_dir.rglob("gpu0/*")}
            gpu = SimulatedGpu.open(folder)
            async with aiohttp.ClientSession() as http:
                client = Client(http, stack.url)
                waits = [await one_wait(client, gpu, seed) for seed in range(repeats)]
        finally:
            stack.stop()
    return {
        "machine": describe(),
        "repeats": repeats,
        "freed_to_start_s": {
            "median": round(statistics.median(waits), 3),
            "max": round(max(waits), 3),
        },
    }


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="how often memory comes free")
    parser.add_argument("--json", action="store_true", help="one line instead of indented")
    options = parser.parse_args()
    report = asyncio.run(run(options.repeats))
    print(json.dumps(report, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
