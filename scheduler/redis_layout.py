"""Which layout the keys of a pool have, and how older ones are brought to this release's.

A layout number stands beside the keys since this was introduced; books without one have the
first. Steps only add keys or fields that the release before leaves alone, so that both may run
for a release (docs/operations.md); a step that takes something away comes one release later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from scheduler.redis_base import RedisSide

#: Layout that this release reads and writes.
LAYOUT: Final = 1
#: By the layout that it makes: what brings the one before to it. Safe to run twice, and beside
#: processes of the release before.
Step = Callable[[RedisSide], Awaitable[None]]
STEPS: Final[Mapping[int, Step]] = {}


class NewerLayout(Exception):
    """The keys belong to a newer release: install that one."""


class RedisLayout(RedisSide):
    """The part of the ledger that is asked once, when a process starts."""

    async def layout(self) -> int:
        """The layout of the keys as they are.

        Raises:
            LedgerUnavailable: nobody knows.
        """
        found = await self.server.command("GET", self.keys.layout)
        return 1 if found is None else int(found)

    async def bring_up(self, wanted: int = LAYOUT, steps: Mapping[int, Step] = STEPS) -> int:
        """Bring the keys to this release's layout; the one they had.

        Raises:
            NewerLayout: a newer release has changed them.
            LedgerUnavailable: some steps may have been done; call it again.
        """
        had = await self.layout()
        if had > wanted:
            raise NewerLayout(
                f"the ledger's keys have layout {had}, and this release knows {wanted}: a newer "
                "vramgate uses this pool; install that release here, too"
            )
        for number in range(had + 1, wanted + 1):
            await steps[number](self)
            await self.server.command("SET", self.keys.layout, number)
        await self.server.command("SET", self.keys.layout, wanted, "NX")
        return had
