"""What everybody does with the ledger who follows what happens: events, pool, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from scheduler.ledger import Event, LedgerUnavailable, Pool, Trust, UserCounts
from scheduler.redis_base import RedisSide
from scheduler.redis_codec import decode_agent, decode_event, decode_trust
from scheduler.redis_connection import Arg
from scheduler.redis_group import LONGEST_BLOCK_MS, RecorderGroup, fields_of
from scheduler.redis_keys import RECORDER_GROUP

#: Most entries of one read: about 1 MB of events.
_BATCH: Final = 1000


class RedisWatch(RedisSide):
    """``WatchSide`` over Redis."""

    async def last_event_id(self) -> str:
        """Cursor of the newest event, ``"0-0"`` if there is none."""
        newest = await self.server.command("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1)
        return newest[0][0].decode() if newest else "0-0"

    async def events(self, after: str, block_ms: int) -> list[Event]:
        """Events after the cursor; waits up to ``block_ms`` (5 s at most) for the first one."""
        block = min(block_ms, LONGEST_BLOCK_MS)
        words: list[Arg] = ["XREAD", "COUNT", _BATCH]
        if block > 0:  # 0 would mean: for ever
            words += ["BLOCK", block]
        words += ["STREAMS", self.keys.events, after]
        return _events(await self.server.wait(block / 1000, *words))

    async def pool(self) -> Pool:
        """Agents, workers, GPUs and gateways as last reported."""
        k = self.keys
        now, agents, workers, gpus, gateways = await self.server.pipeline(
            [
                ("TIME",),
                ("SMEMBERS", k.agents),
                ("SMEMBERS", k.workers),
                ("SMEMBERS", k.gpus),
                ("HGETALL", k.gateways),
            ]
        )
        now_ms = int(now[0]) * 1000 + int(now[1]) // 1000
        agent_ids, worker_ids, gpu_ids = (
            sorted(id_.decode() for id_ in ids) for ids in (agents, workers, gpus)
        )
        records = await self.server.pipeline([("HGETALL", k("agent", id_)) for id_ in agent_ids])
        found = [decode_agent(id_, fields) for id_, fields in zip(agent_ids, records, strict=True)]
        found_gpus, found_workers = await self.devices(worker_ids, gpu_ids)
        return Pool(
            now_ms=now_ms,
            agents={agent.id: agent for agent in found if agent},
            workers={worker.id: worker for worker in found_workers},
            gpus={gpu.id: gpu for gpu in found_gpus},
            gateways=_live_gateways(gateways, now_ms),
        )

    async def counts(self) -> list[UserCounts]:
        """Queued (held ones too) and running jobs of every user who has any."""
        members = await self.server.command("SMEMBERS", self.keys.users)
        users = sorted(user.decode() for user in members)
        commands: list[Sequence[Arg]] = []
        for user in users:
            commands += [("ZCARD", self.keys(kind, user)) for kind in ("queue", "held", "active")]
        replies = await self.server.pipeline(commands)
        counts = [
            UserCounts(
                user=user,
                queued=replies[3 * n] + replies[3 * n + 1],
                running=replies[3 * n + 2],
            )
            for n, user in enumerate(users)
        ]
        return [count for count in counts if count.queued or count.running]

    async def trust(self) -> Trust:
        """What forecasts were worth lately, as the leader told."""
        return decode_trust(await self.server.command("HGET", self.keys.leader, "trust"))

    async def announce_gateway(self, gateway: str, url: str, ttl_ms: int) -> None:
        """Tell agents where a gateway answers (for input files)."""
        await self.server.script("announce", [self.keys.gateways], [gateway, url, ttl_ms])

    async def record_events(self, consumer: str, block_ms: int, count: int) -> list[Event]:
        """Events for the recorder's consumer group; delivered until acknowledged.

        First what this consumer had before and has not acknowledged, then what a
        dead one left, then what is new.
        """
        entries = await RecorderGroup(self.server, self.keys.events).read(consumer, block_ms, count)
        return [decode_event(event_id, fields) for event_id, fields in entries]

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """The recorder has stored these events."""
        if ids:
            await self.server.command("XACK", self.keys.events, RECORDER_GROUP, *ids)

    async def ping(self) -> bool:
        """True when the server answers."""
        try:
            return bool(await self.server.command("PING"))
        except LedgerUnavailable:
            return False

    async def run_id(self) -> str:
        """Names this life of the server that holds the pool."""
        found: bytes = await self.server.script("run_id", [self.keys.leader], [])
        return found.decode()


def _events(reply: Any) -> list[Event]:
    if not reply:
        return []
    return [decode_event(event_id, fields_of(flat)) for event_id, flat in reply[0][1]]


def _live_gateways(entries: Mapping[bytes, bytes], now_ms: int) -> dict[str, str]:
    live = {}
    for gateway, entry in sorted(entries.items()):
        until, _, url = entry.decode().partition(" ")
        if int(until) >= now_ms:
            live[gateway.decode()] = url
    return live
