"""kill -9 of any one process in the middle of twenty jobs: all twenty end, each once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.clients import Client, image_prompt, sampling_prompt
from tests.endtoend.conftest import ANN, BOB, KEYS
from tests.endtoend.stack import Stack
from tests.endtoend.test_path import colour


def work(n: int) -> dict[str, Any]:
    """Some sampling, and a picture whose colour says whose it is."""
    graph = sampling_prompt(seed=n, steps=8)
    del graph["9"]
    graph["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    for node, body in image_prompt(0x000100 * n + 0x10, prefix="job").items():
        graph[f"2{node}"] = body
    graph["22"]["inputs"]["images"] = ["21", 0]
    return graph


async def patient_get(client: Client, path: str) -> Any:
    """GET as often as it takes: a process may be coming back."""
    while True:
        try:
            return await client.get(path)
        except (aiohttp.ClientError, ConnectionError):
            await asyncio.sleep(0.2)


async def finished(client: Client, prompt_id: str) -> dict[str, Any]:
    while prompt_id not in (found := await patient_get(client, f"/history/{prompt_id}")):
        await asyncio.sleep(0.1)
    entry: dict[str, Any] = found[prompt_id]
    return entry


async def check_all(client: Client, jobs: dict[str, int]) -> None:
    for prompt_id, n in jobs.items():
        entry = await finished(client, prompt_id)
        assert entry["status"]["status_str"] == "success", entry["status"]
        (image,) = (i for i in entry["outputs"]["22"]["images"])
        assert colour(await client.view(image)) == (0, n, 0x10)
    assert sorted(await patient_get(client, "/history")) == sorted(jobs)
    assert (await patient_get(client, "/prompt"))["exec_info"]["queue_remaining"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("role", ["gateway", "scheduler", "agent", "worker", "valkey", "up"])
async def test_nothing_is_lost_or_shown_twice(
    role: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    stack = Stack(tmp_path, "--simulate", "gpus=1,vram=24GiB,workers=2,speed=6", config=KEYS)
    stack.start()
    try:
        clients = [
            Client(http, stack.url, {"Authorization": f"Bearer {key}"}) for key in (ANN, BOB)
        ]
        jobs: list[dict[str, int]] = [{}, {}]
        for n in range(20):
            jobs[n % 2][await clients[n % 2].queue(work(n + 1))] = n + 1
        await finished(clients[0], next(iter(jobs[0])))
        kill(stack, role)
        async with asyncio.timeout(180):
            await asyncio.gather(*(check_all(c, j) for c, j in zip(clients, jobs, strict=True)))
    finally:
        stack.stop()


@pytest.mark.slow
async def test_a_server_that_comes_back_without_its_last_second_loses_no_job(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    stack = Stack(tmp_path, "--simulate", "gpus=1,vram=24GiB,workers=2,speed=6", config=KEYS)
    stack.start()
    try:
        client = Client(http, stack.url, {"Authorization": f"Bearer {ANN}"})
        jobs = {await client.queue(work(n)): n for n in range(1, 13)}
        # what is lost is ends, admissions and claims, all of jobs that are known
        await finished(client, next(iter(jobs)))
        written = log_of(stack).stat().st_size
        await asyncio.sleep(1)
        lose_what_was_written_after(stack, written)
        async with asyncio.timeout(180):
            await check_all(client, jobs)
    finally:
        stack.stop()


def log_of(stack: Stack) -> Path:
    """The embedded server's append-only file."""
    return next(stack.data_dir.rglob("*.incr.aof"))


def lose_what_was_written_after(stack: Stack, size: int) -> None:
    """Kill the server and cut its log before anybody can start it again."""
    assert stack.process is not None
    server = stack.pids()["valkey"]
    os.kill(stack.process.pid, signal.SIGSTOP)
    os.kill(server, signal.SIGKILL)
    with log_of(stack).open("r+b") as log:
        log.truncate(size)
    os.kill(stack.process.pid, signal.SIGCONT)


def kill(stack: Stack, role: str) -> None:
    if role == "worker":
        os.kill(stack.workers()[0], signal.SIGKILL)
    elif role == "up":
        assert stack.process is not None
        stack.process.kill()
        stack.process.wait()
        stack.start()
    else:
        stack.kill(role)


def test_nothing_is_left_behind_after_ctrl_c(start: Callable[..., Stack]) -> None:
    stack = start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=20", config=None)
    pids = [*stack.pids().values(), *stack.workers()]
    assert stack.stop() == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
