"""Admin edits, shared secrets and notes in the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.redis_base import RedisSide
from scheduler.redis_connection import Arg


class RedisOverrides(RedisSide):
    """``OverrideSide`` and ``NoteSide`` over Redis."""

    async def overrides(self) -> tuple[int, Mapping[str, str]]:
        """Revision and all overrides: dotted path → JSON text.

        The revision is read first: edits in between show up as a newer revision later.
        """
        rev, found = await self.server.pipeline(
            [("HGET", self.keys.override_meta, "rev"), ("HGETALL", self.keys.overrides)]
        )
        return int(rev or 0), {path.decode(): text.decode() for path, text in found.items()}

    async def override(self, changes: Mapping[str, str | None]) -> int:
        """Set (JSON text) or clear (None) overrides; the new revision."""
        revision = await self._override(changes, "")
        if revision is None:
            raise self.unexpected("override", revision)
        return revision

    async def override_at(self, revision: int, changes: Mapping[str, str | None]) -> int | None:
        """The same where the revision is still the one given; None: it is not."""
        return await self._override(changes, revision)

    async def _override(self, changes: Mapping[str, str | None], seen: int | str) -> int | None:
        args: list[Arg] = [self.new_call(), seen]
        for path, text in changes.items():
            args += [path, int(text is not None), text or ""]
        keys = [self.keys.overrides, self.keys.override_meta, self.keys.events]
        revision: int | None = await self.server.script("override", keys, args)
        return revision

    async def secret(self, name: str, candidate: str) -> str:
        """A shared secret made once: the candidate, or what another process stored first."""
        _, stored = await self.server.pipeline(
            [
                ("HSETNX", self.keys.secrets, name, candidate),
                ("HGET", self.keys.secrets, name),
            ]
        )
        text: str = stored.decode()
        return text

    async def note(self, name: str, text: str, ttl_ms: int, *, replace: bool = False) -> str:
        """Keep a text; one that is there already stays unless it is to be replaced."""
        key = self.keys("note", name)
        only_new = () if replace else ("NX",)
        _, _, kept = await self.server.pipeline(
            [
                ("SET", key, text, "PX", ttl_ms, *only_new),
                ("PEXPIRE", key, ttl_ms),
                ("GET", key),
            ]
        )
        return text if kept is None else str(kept.decode())

    async def noted(self, name: str) -> str | None:
        """The text kept under this name, or None."""
        kept = await self.server.command("GET", self.keys("note", name))
        return None if kept is None else kept.decode()
