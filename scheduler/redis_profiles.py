"""What was learned, in the ledger: profiles, written by the leader, and demand by hour of the week."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from scheduler.redis_base import RedisSide
from scheduler.redis_connection import Arg

T = TypeVar("T")
#: A profile that is not used for this long is forgotten, so that their number stays bounded.
_KEPT_S: Final = 90 * 24 * 3600
#: Profiles that one script call touches at most: it holds the server for about a millisecond.
_BATCH: Final = 100


class RedisProfiles(RedisSide):
    """The parts of ``SubmitSide`` and ``PlanSide`` that learn."""

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        """What was learned of each fingerprint, in the order asked. Reading is using."""
        return await self.server.pipeline(
            [("GETEX", self.keys("profile", one), "EX", _KEPT_S) for one in fingerprints]
        )

    async def learn(self, epoch: int, job_id: str, profiles: Mapping[str, bytes]) -> bool:
        """Store what a closed attempt taught; each attempt counts once."""
        keys = [self.keys.leader, self.keys("job", job_id), *self._keys_of(profiles)]
        args: list[Arg] = [epoch, _KEPT_S, *_flat(profiles.items())]
        return bool(await self.server.script("learn", keys, args))

    async def all_profiles(self) -> dict[str, bytes]:
        """Everything that was learned, by fingerprint. It does not count as using."""
        members = await self.server.command("SMEMBERS", self.keys.fingerprints)
        found: dict[str, bytes] = {}
        for batch in _batches(sorted(member.decode() for member in members)):
            texts = await self.server.script("read_profiles", self._keys_of(batch), batch)
            found |= {one: text for one, text in zip(batch, texts, strict=True) if text is not None}
        return found

    async def put_profiles(self, profiles: Mapping[str, bytes]) -> None:
        """Store profiles as they are, over those of the same fingerprint."""
        for batch in _batches(list(profiles.items())):
            keys = self._keys_of([fingerprint for fingerprint, _ in batch])
            await self.server.script("put_profiles", keys, [_KEPT_S, *_flat(batch)])

    async def week(self) -> bytes | None:
        """Demand by hour of the week; None: none is known."""
        found: bytes | None = await self.server.command("GET", self.keys.week)
        return found

    async def put_week(self, week: bytes) -> None:
        """Store it, over what was there."""
        await self.server.command("SET", self.keys.week, week)

    def _keys_of(self, fingerprints: Iterable[str]) -> list[str]:
        return [self.keys.fingerprints, *(self.keys("profile", one) for one in fingerprints)]


def _batches(entries: Sequence[T]) -> Iterator[Sequence[T]]:
    return (entries[start : start + _BATCH] for start in range(0, len(entries), _BATCH))


def _flat(entries: Iterable[tuple[str, bytes]]) -> list[Arg]:
    return [part for entry in entries for part in entry]
