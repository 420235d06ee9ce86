"""Where the time goes while the mix runs: what workers do, and why jobs wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bench.gpu.rows import Row
from bench.gpu.studio import USERS, Studio
from scheduler.states import JobState

#: between two looks, seconds
_EVERY_S: Final = 0.5


@dataclass(slots=True)
class Watch:
    """Counts of all looks."""

    workers: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)

    @classmethod
    @asynccontextmanager
    async def over(cls, studio: Studio) -> AsyncIterator[Watch]:
        """Look again and again while the block runs."""
        watch = cls()
        looking = asyncio.create_task(watch._look(studio))
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    def row(self) -> Row:
        """Shares of the workers' time, and of the waiting jobs' time by reason."""
        return {"workers_did": _shares(self.workers), "jobs_waited": _shares(self.waits)}

    async def _look(self, studio: Studio) -> None:
        while True:
            pool = await studio.pool()
            self.workers.update(
                "busy" if worker.job else worker.state.value.lower()
                for worker in pool.workers.values()
            )
            for user in USERS:
                for job in await studio.ledger.unfinished(user):
                    if job.state is JobState.QUEUED:
                        self.waits["new" if job.wait_reason is None else job.wait_reason.value] += 1
            await asyncio.sleep(_EVERY_S)


def _shares(counts: Counter[str]) -> dict[str, float]:
    total = counts.total()
    return {name: round(count / total, 3) for name, count in counts.most_common()}
