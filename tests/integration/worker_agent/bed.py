"""An agent with fake workers on a real ledger, and the little of a scheduler it needs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from config.probe import Probe
from config.settings import Settings
from scheduler.ledger import Event, Grant, Outcome, Refusal, Settled
from scheduler.redis_ledger import RedisLedger
from scheduler.states import TERMINAL, InputFile, Job, JobState, Lane, NewJob, WorkerState
from worker_agent.agent import Agent
from worker_agent.launch import LaunchSpec
from worker_agent.nvml import GpuReader
from worker_agent.probe_pack import probe_environment

TOKEN = "a-cluster-token-for-tests"
SETTINGS: dict[str, Any] = {
    "agent": {"sample": 0.05, "sample_rest": 0.05},
    "scheduler": {"lease": 3.0},
    "cluster": {"token": TOKEN},
}
AGENT = "host"
#: what a job without GPU is promised
NOTHING = Grant(bytes=0, capacity_bytes=0)
FAKE = Path(__file__).parent / "fake_worker.py"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fake_spec(
    folder: Path, number: int = 0, *, distant: bool = False, probe: bool = False
) -> LaunchSpec:
    """A fake worker; ``distant``: its agent does not see its folders."""
    port = free_port()
    home = folder / f"worker{number}"
    env = dict(os.environ)
    if probe:
        env |= probe_environment(f"{AGENT}-{number}", Probe(), TOKEN)
    return LaunchSpec(
        id=f"{AGENT}-{number}",
        command=(sys.executable, str(FAKE), "--port", str(port), "--folder", str(home)),
        env=env,
        url=f"http://127.0.0.1:{port}",
        gpu_uuid="",
        log_path=folder / f"worker{number}.log",
        folders={} if distant else {"output": home / "output"},
    )


class SeeingLedger(RedisLedger):
    """The real ledger, which notes what the worker was known to be when a job was settled."""

    seen: WorkerState | None = None

    async def settle(self, job_id: str, attempt: int, outcome: Outcome) -> Settled | Refusal:
        self.seen = (await self.pool()).workers[f"{AGENT}-0"].state
        return await super().settle(job_id, attempt, outcome)


class Bed:
    """What tests do with an agent that runs."""

    def __init__(self, ledger: RedisLedger, agent: Agent, specs: Sequence[LaunchSpec]) -> None:
        self.ledger = ledger
        self.agent = agent
        self.specs = specs

    async def until(self, true: Callable[[], Awaitable[Any]], seconds: float = 30.0) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := await true()):
                await asyncio.sleep(0.02)
            return found

    async def ready(self, worker: str = f"{AGENT}-0") -> None:
        async def is_ready() -> bool:
            found = (await self.ledger.pool()).workers.get(worker)
            return found is not None and found.state is WorkerState.READY

        await self.until(is_ready)

    async def submit(self, graph: dict[str, Any], user: str = "ann", **changes: Any) -> NewJob:
        job_id = str(uuid.uuid4())
        fields: dict[str, Any] = {
            "id": job_id,
            "user": user,
            "group": "default",
            "prompt_id": f"client-{job_id[:8]}",
            "client_id": "tab-1",
            "lane": Lane.INTERACTIVE,
            "front": False,
            "fingerprint": "fp",
            "models": ("checkpoints/a.safetensors",),
            "need_bytes": 0,
            "need_seconds": 1.0,
            "needs_gpu": False,
        }
        body = changes.pop("body", {})
        job = NewJob(**(fields | changes))
        prompt = {"prompt": graph, "client_id": "tab-1", "number": -1, **body}
        await self.ledger.submit(job, json.dumps(prompt).encode(), max_queued=None)
        return job

    async def admit(
        self, job_id: str, worker: str = f"{AGENT}-0", bytes_: int = 0, load_s: float = 0.0
    ) -> None:
        epoch = await self.ledger.lead("test", 60_000)
        assert epoch is not None

        async def admitted() -> bool:
            snapshot = await self.ledger.snapshot(10)
            place = next((row for row in snapshot.workers if row.id == worker), None)
            queued = [job for lines in snapshot.backlogs for job in lines.jobs if job.id == job_id]
            if place is None or not queued:
                return False
            grant = replace(NOTHING, bytes=bytes_, load_seconds=load_s)
            reply = await self.ledger.admit(epoch, queued[0], place, grant, 3000)
            return hasattr(reply, "attempt")

        await self.until(admitted)

    async def start(self, graph: dict[str, Any], user: str = "ann", **changes: Any) -> NewJob:
        job = await self.submit(graph, user, **changes)
        await self.admit(job.id)
        return job

    async def job(self, job_id: str) -> Job:
        found = (await self.ledger.jobs([job_id]))[0]
        assert found is not None
        return found

    async def until_state(self, job_id: str, *states: JobState, seconds: float = 30.0) -> Job:
        async def there() -> Job | None:
            found = await self.job(job_id)
            return found if found.state in states else None

        found: Job = await self.until(there, seconds)
        return found

    async def soon_queued(self, job_id: str, looks: int = 100) -> Job:
        """The job, back in the queue within so many looks of 20 ms.

        Looks are counted, not seconds: while the whole process stands still there are none.
        """
        for _ in range(looks):
            found = await self.job(job_id)
            if found.state is JobState.QUEUED:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"{job_id} is {found.state} after {looks} looks")

    async def watched(self, user: str = "ann") -> None:
        """Wait until the agent knows that a gateway wants to hear of the user's jobs."""

        async def is_watched() -> bool:
            return self.agent._hub.is_watched(user)

        await self.until(is_watched)

    async def until_ended(self, job_id: str) -> Job:
        return await self.until_state(job_id, *TERMINAL)

    async def result(self, job_id: str) -> dict[str, Any]:
        body = (await self.ledger.results([job_id]))[0]
        assert body is not None
        result: dict[str, Any] = json.loads(body)
        return result

    async def settlements(self, job_id: str) -> list[Event]:
        """Its settle events in the stream: one, once it has ended."""
        events = await self.ledger.events("0-0", 10)
        return [event for event in events if event.job == job_id and event.kind == "settled"]

    async def frames(self, job_id: str) -> list[Any]:
        """Closing frames in the stream."""
        frames: list[Any] = json.loads((await self.settlements(job_id))[-1].frames)
        return frames

    async def seen(self, number: int = 0) -> dict[str, Any]:
        """What the fake worker was asked."""
        url = f"{self.specs[number].url}/fake/seen"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            answer: dict[str, Any] = await reply.json()
            return answer

    async def probe(self, number: int = 0, **changes: Any) -> dict[str, Any]:
        """What the fake worker's probe was asked; with ``changes``: set it up first."""
        url = f"{self.specs[number].url}/fake/probe"
        async with aiohttp.ClientSession() as session:
            if changes:
                async with session.post(url, json=changes) as reply:
                    assert reply.status == 200
            async with session.get(url) as reply:
                answer: dict[str, Any] = await reply.json()
                return answer

    async def running(self, job_id: str) -> None:
        """Wait until the prompt really runs on its worker."""

        async def posted() -> bool:
            return any(body["prompt_id"] == job_id for body in (await self.seen())["prompts"])

        await self.until_state(job_id, JobState.RUNNING)
        await self.until(posted)

    def pid(self, number: int = 0) -> int:
        process = self.agent._supervisor.process(self.specs[number].id)
        assert process is not None
        assert process.pid is not None
        return process.pid


def make_agent(
    ledger: RedisLedger,
    folder: Path,
    specs: Sequence[LaunchSpec],
    reader: GpuReader | None = None,
    settings: dict[str, Any] | None = None,
    wall: Callable[[], float] = time.time,
) -> Agent:
    in_force = Settings.model_validate(settings or SETTINGS)
    return Agent(
        settings=lambda: in_force,
        ledger=ledger,
        reader=reader,
        specs=specs,
        agent_id=AGENT,
        data_dir=folder,
        token=TOKEN,
        version="test",
        clock=time.monotonic,
        wall=wall,
        new_id=lambda: str(uuid.uuid4()),
    )


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[None]:
    task = asyncio.create_task(agent.run())
    try:
        async with asyncio.timeout(30):
            await agent.started.wait()
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=30)
        if not task.done():
            for stuck in asyncio.all_tasks():
                stuck.print_stack()
            raise AssertionError("the agent does not stop")
        with contextlib.suppress(asyncio.CancelledError):
            await task


def uploaded(path: str, content: bytes) -> InputFile:
    sha = hashlib.sha256(content).hexdigest()
    return InputFile(path=path, sha256=sha, size_bytes=len(content))
