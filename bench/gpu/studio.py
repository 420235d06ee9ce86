"""vramgate as a studio starts it: ``vramgate up --comfyui``, users with keys, real roles."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.gpu.clients import Seat
from cli.agent import kill_left_workers
from config.settings import Comfyui
from scheduler.ledger_values import Pool
from scheduler.profile import Profile, from_json
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job, WorkerState
from tests.endtoend.stack import Stack

#: who posts; job i is user i mod 6's
USERS: Final = ("ann", "bob", "cid", "dee", "eve", "fay")
_LOOK_S: Final = 0.1
_STOP_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How it is started."""

    comfyui: Comfyui
    #: lines of the config file's own sections, as JSON values
    settings: Mapping[str, Any]
    start_s: float


class Studio:
    """One running vramgate, with a seat for each user.

    Args:
        stack: the processes.
        ledger: the same books, for looking.
        seats: by user.
    """

    def __init__(self, stack: Stack, ledger: RedisLedger, seats: Mapping[str, Seat]) -> None:
        self.stack = stack
        self.ledger = ledger
        self.seats = seats

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, plan: Plan) -> AsyncIterator[Studio]:
        """Start it, let everybody sit down, stop it at the end."""
        keys = {user: secrets.token_urlsafe(16) for user in USERS}
        options = ["--comfyui", str(plan.comfyui.path)]
        options += ["--workers-per-gpu", str(plan.comfyui.workers_per_gpu)]
        stack = Stack(folder, *options, config=_config(plan, keys))
        try:
            await asyncio.to_thread(stack.start, plan.start_s)
            async with AsyncExitStack() as opened:
                ledger = RedisLedger.connect(stack.state()["redis"], "default")
                opened.push_async_callback(ledger.close)
                studio = cls(stack, ledger, await _sit(opened, stack.url, keys))
                await studio.all_up(plan.comfyui.workers_per_gpu, plan.start_s)
                yield studio
        finally:
            if stack.process is not None:
                await asyncio.to_thread(stack.stop, _STOP_S)
            kill_left_workers(stack.data_dir)

    async def all_up(self, count: int, within_s: float) -> None:
        """Until so many workers take jobs.

        Raises:
            TimeoutError: they do not.
        """
        deadline = time.monotonic() + within_s
        while True:
            workers = (await self.pool()).workers.values()
            up = [worker for worker in workers if worker.state is WorkerState.READY]
            if len(up) >= count:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(up)} of {count} workers are up:\n{self.stack.tail()}")
            await asyncio.sleep(_LOOK_S)

    async def pool(self) -> Pool:
        """What agents reported last."""
        return await self.ledger.pool()

    async def idle(self, within_s: float = 60.0) -> None:
        """Until no worker has a job."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if not any(worker.job for worker in (await self.pool()).workers.values()):
                return
            await asyncio.sleep(_LOOK_S)

    async def jobs(self, prompt_ids: Mapping[str, str]) -> dict[str, Job]:
        """The ledger's records by prompt; ``prompt_ids`` → user."""
        found = {}
        for prompt_id, user in prompt_ids.items():
            job = await self.ledger.find(user, prompt_id)
            if job is not None:
                found[prompt_id] = job
        return found

    async def profiles(self) -> dict[str, Profile]:
        """What was learned so far, of each kind of workflow."""
        records = await self.ledger.all_profiles()
        read = {name: from_json(record) for name, record in records.items()}
        return {name: profile for name, profile in read.items() if profile is not None}

    @property
    def logs(self) -> list[Path]:
        """What the workers wrote."""
        return sorted(self.stack.data_dir.rglob("comfyui.log"))


async def _sit(opened: AsyncExitStack, url: str, keys: Mapping[str, str]) -> dict[str, Seat]:
    """A connection pool and a websocket for each user, as on machines of their own."""
    seats = {}
    for user, key in keys.items():
        http = await opened.enter_async_context(aiohttp.ClientSession())
        seat = Seat(http, url, {"Authorization": f"Bearer {key}"})
        seats[user] = await opened.enter_async_context(seat.open())
    return seats


def _config(plan: Plan, keys: Mapping[str, str]) -> str:
    """YAML that is JSON."""
    own = {
        "python": None if plan.comfyui.python is None else str(plan.comfyui.python),
        "args": list(plan.comfyui.args),
    }
    told: dict[str, Any] = {
        "auth": {"mode": "keys"},
        "users": [{"name": user, "key": key} for user, key in keys.items()],
        "agent": {"comfyui": {name: value for name, value in own.items() if value}},
    }
    return json.dumps(_merged(told, plan.settings), indent=1)


def _merged(told: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of both; ``further`` outranks."""
    found = {**told, **further}
    for name in told.keys() & further.keys():
        if isinstance(told[name], Mapping) and isinstance(further[name], Mapping):
            found[name] = _merged(told[name], further[name])
    return found
