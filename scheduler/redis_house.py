"""Housekeeping of the ledger by its leader: what has ended or gone silent is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from scheduler.bookkeeping import (
    EVENTS_KEPT_MS,
    EVENTS_UNRECORDED,
    SEQUENCES_PER_MS,
    UNRECORDED_FACTOR,
    event_score,
)
from scheduler.redis_base import RedisSide
from scheduler.redis_connection import Arg
from scheduler.redis_keys import RECORDER_GROUP
from scheduler.states import Gpu, Worker

#: Jobs that one script call touches at most: it holds the server for about a millisecond.
_BATCH: Final = 100
_GROUP: Final = RECORDER_GROUP.encode()


class RedisHouse(RedisSide):
    """The part of ``PlanSide`` that drops things."""

    async def trim(self, epoch: int, keep: int, older_than_ms: int) -> int:
        """Drop ended jobs beyond ``keep`` per user or older, once the recorder has them."""
        recorded = await self._recorded_score()
        if recorded is None:
            keep, older_than_ms = keep * UNRECORDED_FACTOR, older_than_ms * UNRECORDED_FACTOR
        now = await self.now_ms()
        horizon = event_score(f"{max(now - older_than_ms, 0)}-0")
        limit = event_score(f"{now + 1}-0") if recorded is None else recorded
        dropped = 0
        for user in sorted(await self.server.command("SMEMBERS", self.keys.everyone)):
            for kind in ("done", "hidden"):
                dropped += await self._trim_list(epoch, user.decode(), kind, keep, horizon, limit)
        if recorded is None:
            await self.server.command("XTRIM", self.keys.events, "MAXLEN", "~", EVENTS_UNRECORDED)
        else:
            oldest = min(recorded // SEQUENCES_PER_MS, now - EVENTS_KEPT_MS)
            await self.server.command("XTRIM", self.keys.events, "MINID", "~", f"{oldest}-0")
        return dropped

    async def _trim_list(
        self, epoch: int, user: str, kind: str, keep: int, horizon: int, limit: int
    ) -> int:
        listing = self.keys(kind, user)
        surplus, old = await self.server.pipeline(
            [
                ("ZRANGE", listing, 0, -(keep + 1)),
                ("ZRANGE", listing, "-inf", horizon, "BYSCORE"),
            ]
        )
        job_ids = [id_.decode() for id_ in dict.fromkeys([*old, *surplus])]
        dropped = 0
        for start in range(0, len(job_ids), _BATCH):
            batch = job_ids[start : start + _BATCH]
            keys = [self.keys.leader, listing, self.keys("names", user), *self.keys.of_files(user)]
            keys.append(self.keys("user", user))
            for job_id in batch:
                keys += [self.keys(name, job_id) for name in ("job", "prompt", "result", "outputs")]
            forgotten = await self.server.script("trim", keys, [epoch, limit, *batch])
            if forgotten < 0:
                return dropped
            dropped += forgotten
        return dropped

    async def _recorded_score(self) -> int | None:
        """Up to which event the recorder has all; None: there is no recorder."""
        if not await self.server.command("EXISTS", self.keys.events):
            return None
        groups = await self.server.command("XINFO GROUPS", self.keys.events)
        # In this order: what is delivered in between counts as not yet stored.
        pending = await self._oldest_pending(groups)
        delivered = next(
            (group["last-delivered-id"] for group in groups if group["name"] == _GROUP), None
        )
        if delivered is None:
            return None
        newest = event_score(delivered.decode())
        return newest if pending is None else min(newest, event_score(pending) - 1)

    async def _oldest_pending(self, groups: Sequence[Mapping[str, Any]]) -> str | None:
        if not any(group["name"] == _GROUP for group in groups):
            return None
        summary = await self.server.command("XPENDING", self.keys.events, RECORDER_GROUP)
        oldest: bytes | None = summary["min"]
        return None if oldest is None else oldest.decode()

    async def forget(self, epoch: int, silent_ms: int) -> list[str]:
        """Drop agents, workers and GPUs that have no job and said nothing for that long."""
        k = self.keys
        agents, workers, gpus = (
            sorted(id_.decode() for id_ in ids)
            for ids in await self.server.pipeline(
                [("SMEMBERS", k.agents), ("SMEMBERS", k.workers), ("SMEMBERS", k.gpus)]
            )
        )
        now = await self.now_ms()
        found_gpus, found_workers = await self.devices(workers, gpus)
        devices: list[Worker | Gpu] = [*found_workers, *found_gpus]
        silent = [one for one in devices if now - one.heartbeat_ms > silent_ms]
        forgotten = []
        # in this order: an agent goes when it has nothing left, a GPU when no worker holds it
        for device in silent:
            if await self._forget_device(epoch, device, silent_ms):
                forgotten.append(device.id)
        for agent in agents:
            keys = [k.leader, k.agents, k("agent", agent), k("fleet", agent), k("inbox", agent)]
            if await self.server.script("forget", keys, [epoch, agent, silent_ms, "", "", ""]):
                forgotten.append(agent)
        return forgotten

    async def _forget_device(self, epoch: int, device: Worker | Gpu, silent_ms: int) -> bool:
        k = self.keys
        if isinstance(device, Worker):
            kind, everyone, gpu, holds = "worker", k.workers, device.gpu, device.gpu
        else:
            kind, everyone, gpu, holds = "gpu", k.gpus, "", device.id
        keys = [k.leader, everyone, k(kind, device.id), k("fleet", device.agent), k("holds", holds)]
        args: list[Arg] = [epoch, device.id, silent_ms]
        args += [f"{kind[0]}:{device.id}", device.agent, gpu]
        return bool(await self.server.script("forget", keys, args))
