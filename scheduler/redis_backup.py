"""Reads a pool's books for a backup, and puts them onto another server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scheduler.backup_keys import ENDED, KeptKey
from scheduler.redis_base import RedisSide
from scheduler.redis_connection import Arg
from scheduler.redis_group import fields_of

#: Keys of one round trip: bodies of prompts are tens of kilobytes.
_BATCH: Final = 100
#: Entries of a stream that one command reads.
_ENTRIES: Final = 500
#: Keys of the server that one step of ``clear`` looks at: about a millisecond.
_LOOK: Final = 1000
#: An agent or a gateway that was heard of so lately runs.
_LATELY_MS: Final = 30_000
_READS: Final = {"string": "GET", "hash": "HGETALL", "set": "SMEMBERS"}


@dataclass(frozen=True, slots=True)
class Occupied:
    """What a pool's books say of whether they are in use."""

    #: users, overrides or profiles are there
    filled: bool
    #: who was heard of lately, in words; "": nobody
    by: str


class RedisBackup(RedisSide):
    """The part of the ledger that operations have need of."""

    async def kept(self) -> AsyncIterator[KeptKey]:
        """Everything that a backup holds; what must agree with one another comes first.

        Raises:
            LedgerUnavailable: nothing is known; begin anew.
        """
        keys = [self.keys.everyone, self.keys.events]
        _, last, found = await self.server.script("keep", keys, [self.keys.prefix])
        first = [_kept(*entry) for entry in found]
        for key in first:
            yield key
        for names in _batches(self._later(first)):
            for key in await self._read(names):
                yield key
        for digest in await self._catalogue_names():
            for key in await self._read([("string", f"catalogue:{digest}")]):
                yield key
        for stream, until in (("events", last.decode()), ("records", "+")):
            async for key in self._entries(stream, until):
                yield key

    async def put_kept(self, keys: Iterable[KeptKey]) -> int:
        """Write keys; how many. The pool's own are to be cleared before."""
        written = 0
        for batch in _batches(keys):
            await self.server.pipeline([self._write(key) for key in batch])
            ends: list[Sequence[Arg]] = [
                ("PEXPIRE", self.keys.prefix + key.name, key.ttl_ms) for key in batch if key.ttl_ms
            ]
            await self.server.pipeline(ends)
            written += len(batch)
        return written

    async def clear(self) -> int:
        """Delete all keys of the pool; how many there were."""
        cursor, deleted = b"0", 0
        while True:
            args: list[Arg] = [self.keys.prefix, cursor, _LOOK]
            cursor, some = await self.server.script("clear", [self.keys.leader], args)
            deleted += int(some)
            if cursor == b"0":
                return deleted

    async def occupied(self) -> Occupied:
        """Whether there is anything, and whether anybody works with it."""
        k = self.keys
        counts = await self.server.pipeline(
            [("SCARD", k.everyone), ("HLEN", k.overrides), ("SCARD", k.fingerprints)]
        )
        leader, gateways, agents = await self.server.pipeline(
            [("HGETALL", k.leader), ("HGETALL", k.gateways), ("SMEMBERS", k.agents)]
        )
        now = await self.now_ms()
        if b"owner" in leader and int(leader.get(b"until", 0)) > now:
            return Occupied(any(counts), "a scheduler leads")
        for name, text in gateways.items():
            if int(text.split(b" ")[0]) > now:
                return Occupied(any(counts), f"the gateway {name.decode()} answers")
        beats = await self.server.pipeline(
            [("HGET", k("agent", one.decode()), "heartbeat_ms") for one in sorted(agents)]
        )
        if any(int(beat or 0) > now - _LATELY_MS for beat in beats):
            return Occupied(any(counts), "an agent reports")
        return Occupied(any(counts), "")

    # ── reading ──────────────────────────────────────────────────────────────

    def _later(self, first: Sequence[KeptKey]) -> Iterator[tuple[str, str]]:
        """Type and name of what is read after the books: bodies, files, profiles."""
        for key in first:
            if key.kind == "job":
                yield from (("string", f"prompt:{key.of}"), ("set", f"outputs:{key.of}"))
            elif key.kind in ENDED:
                for one in key.value[::2]:
                    job_id = one.decode()
                    yield from (("hash", f"job:{job_id}"), ("string", f"prompt:{job_id}"))
                    yield from (("string", f"result:{job_id}"), ("set", f"outputs:{job_id}"))
            elif key.kind == "everyone":
                for user in key.value:
                    for kind in ("files", "origins", "counters"):
                        yield "hash", f"{kind}:{user.decode()}"
            elif key.kind == "fingerprints":
                yield from (("string", f"profile:{one.decode()}") for one in key.value)

    async def _catalogue_names(self) -> list[str]:
        workers = sorted(await self.server.command("SMEMBERS", self.keys.workers))
        found = await self.server.pipeline(
            [("HGET", self.keys("worker", one.decode()), "catalogue") for one in workers]
        )
        return sorted({one.decode() for one in found if one})

    async def _read(self, names: Sequence[tuple[str, str]]) -> list[KeptKey]:
        """Those of these keys that are there."""
        full = [self.keys.prefix + name for _, name in names]
        reads: list[Sequence[Arg]] = [
            (_READS[type_], key) for (type_, _), key in zip(names, full, strict=True)
        ]
        values = await self.server.pipeline([*reads, *(("PTTL", key) for key in full)])
        ttls = values[len(names) :]
        return [
            KeptKey(name, type_, _flat(value), max(0, int(ttl)))
            for (type_, name), value, ttl in zip(names, values, ttls, strict=False)
            if value
        ]

    async def _entries(self, stream: str, until: str) -> AsyncIterator[KeptKey]:
        after = "-"
        while True:
            words: list[Arg] = ["XRANGE", self.keys(stream), after, until, "COUNT", _ENTRIES]
            entries = await self.server.command(*words)
            for entry_id, content in entries or ():
                fields = fields_of(content)
                yield KeptKey(stream, "stream", [entry_id, *_flat(fields)])
            if not entries or len(entries) < _ENTRIES:
                return
            after = f"({entries[-1][0].decode()}"

    # ── writing ──────────────────────────────────────────────────────────────

    def _write(self, key: KeptKey) -> list[Arg]:
        name, value = self.keys.prefix + key.name, key.value
        match key.type:
            case "hash":
                return ["HSET", name, *value]
            case "zset":
                return [
                    "ZADD",
                    name,
                    *(
                        part
                        for at in range(0, len(value), 2)
                        for part in (value[at + 1], value[at])
                    ),
                ]
            case "set":
                return ["SADD", name, *value]
            case "stream":
                return ["XADD", name, *value]
            case _:
                return ["SET", name, value[0]]


def _kept(name: bytes, type_: bytes, value: Any) -> KeptKey:
    return KeptKey(name.decode(), type_.decode(), list(value))


def _flat(value: Any) -> list[bytes]:
    """What redis-py answers, as a backup holds it."""
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    return [value] if isinstance(value, bytes) else sorted(value)


def _batches(entries: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
