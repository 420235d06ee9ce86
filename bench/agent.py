"""What one agent with eight workers costs: processor time, at rest and while all of them work.

A whole system with simulated GPUs; the agent's process alone is measured, while a client of the
jobs' user listens to all that they say, previews included. Simulated GPUs are files that are
locked, read and parsed, which takes far longer than the driver's answer (0.09 ms for an H200): what
that costs is measured apart, on the same files, and shown beside the agent's share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.machine import cpu_seconds, describe
from simulator.nvml import FakeNvml
from tests.clients import sampling_prompt
from tests.endtoend.stack import Stack

_SETTLE_S: Final = 15.0
_DEEP: Final = 4
_READINGS: Final = 200
#: steps of a prompt: about as long as a picture takes on a real card
_STEPS: Final = 30


async def run(seconds: float, workers: int, speed: float) -> dict[str, Any]:
    """Both shares of one core."""
    with tempfile.TemporaryDirectory() as folder:
        simulated = f"gpus=2,vram=48GiB,workers={workers // 2},speed={speed:g}"
        stack = Stack(Path(folder), "--simulate", simulated)
        await asyncio.to_thread(stack.start)
        try:
            await asyncio.sleep(_SETTLE_S)
            agent = stack.pids()["agent"]
            rest = await _share(agent, seconds)
            heard = Counter[str]()
            beside = [
                asyncio.create_task(_post(stack.url, workers * _DEEP)),
                asyncio.create_task(_listen(stack.url, heard)),
            ]
            await asyncio.sleep(_SETTLE_S)
            before, heard_before = await _ended(stack.url), heard.total()
            busy = await _share(agent, seconds)
            jobs, frames = await _ended(stack.url) - before, heard.total() - heard_before
            reading = await asyncio.to_thread(_reading_ms, stack.data_dir)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        finally:
            await asyncio.to_thread(stack.stop)
    return {
        "workers": workers,
        "seconds": seconds,
        "share_at_rest": round(rest, 4),
        "share_while_all_work": round(busy, 4),
        "jobs_per_s": round(jobs / seconds, 2),
        "frames_per_s": round(frames / seconds, 1),
        "reading_simulated_cards_ms": round(reading, 3),
        "speed": speed,
        **describe(),
    }


async def _share(pid: int, seconds: float) -> float:
    used, began = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_seconds(pid) - used) / (time.monotonic() - began)


async def _listen(url: str, heard: Counter[str]) -> None:
    """Count what the client is told."""
    async with (
        aiohttp.ClientSession(url) as session,
        session.ws_connect("/ws?clientId=bench") as ws,
    ):
        await ws.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        async for frame in ws:
            heard[frame.type.name] += 1


def _reading_ms(data_dir: Path) -> float:
    """Processor time of one reading of all cards, as the agent does it."""
    cards = FakeNvml([found.parent for found in data_dir.rglob("gpu.json")])
    cards.devices()
    began = time.thread_time()
    for _ in range(_READINGS):
        cards.devices()
    return (time.thread_time() - began) / _READINGS * 1000


async def _post(url: str, deep: int) -> None:
    """Keep so many prompts in the queue."""
    seed = 0
    async with aiohttp.ClientSession(url) as session:
        while True:
            async with session.get("/prompt") as answer:
                waiting = (await answer.json())["exec_info"]["queue_remaining"]
            for _ in range(deep - waiting):
                seed += 1
                body = {"prompt": sampling_prompt(seed, steps=_STEPS), "client_id": "bench"}
                async with session.post("/prompt", json=body) as answer:
                    await answer.read()
            await asyncio.sleep(0.5)


async def _ended(url: str) -> int:
    async with aiohttp.ClientSession(url) as session, session.get("/history") as answer:
        return len(await answer.json())


def main() -> None:
    """Measure, and print the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--speed", type=float, default=1.0, help="of the simulated cards")
    options = parser.parse_args()
    json.dump(
        asyncio.run(run(options.seconds, options.workers, options.speed)), sys.stdout, indent=2
    )
    print()
