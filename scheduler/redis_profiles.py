"""Learned profiles in the ledger: read at the door, written by the leader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from scheduler.redis_base import RedisSide
from scheduler.redis_connection import Arg

#: A profile that is not used for this long is forgotten, so that their number stays bounded.
_KEPT_S: Final = 90 * 24 * 3600


class RedisProfiles(RedisSide):
    """The parts of ``SubmitSide`` and ``PlanSide`` that learn."""

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        """What was learned of each fingerprint, in the order asked. Reading is using."""
        return await self.server.pipeline(
            [("GETEX", self.keys("profile", one), "EX", _KEPT_S) for one in fingerprints]
        )

    async def learn(self, epoch: int, job_id: str, profiles: Mapping[str, bytes]) -> bool:
        """Store what a closed attempt taught; each attempt counts once."""
        keys = [self.keys.leader, self.keys("job", job_id)]
        keys += [self.keys("profile", fingerprint) for fingerprint in profiles]
        args: list[Arg] = [epoch, _KEPT_S, *profiles.values()]
        return bool(await self.server.script("learn", keys, args))
