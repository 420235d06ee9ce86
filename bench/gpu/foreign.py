"""Another process takes 8 GiB while the mix runs: what fails, and how soon admissions know."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bench.gpu import rows
from bench.gpu.card import Holder
from bench.gpu.clients import Posted, wait_all
from bench.gpu.jobs import mix
from bench.gpu.setting import Setting, say
from bench.gpu.shared import owners, plan, post
from bench.gpu.studio import Studio
from scheduler.ledger_values import Pool

_BYTES: Final = 8 * 2**30
#: jobs that have ended when it comes: the middle of the mix
_AFTER: Final = 12
_LOOK_S: Final = 0.05
#: the ledger knows of it when it counts so much of it
_NEARLY: Final = 0.95


@dataclass(slots=True)
class _Seen:
    """What the ledger showed, by seconds since the epoch."""

    before: int = 0
    foreign: list[tuple[float, int]] = field(default_factory=list)
    #: bytes promised or held beyond what may be promised; negative: room
    over: list[tuple[float, int]] = field(default_factory=list)

    def look(self, pool: Pool) -> None:
        for gpu in pool.gpus.values():
            ours = gpu.total_bytes - gpu.foreign_bytes
            capacity = ours - rows.safety_bytes(ours)
            holds = sum(one.hold_bytes for one in pool.workers.values() if one.gpu == gpu.id)
            self.foreign.append((time.time(), gpu.foreign_bytes))
            self.over.append((time.time(), holds - capacity))

    def known_at(self) -> float | None:
        """When nearly all of it was counted."""
        enough = self.before + _NEARLY * _BYTES
        return next((at for at, held in self.foreign if held >= enough), None)


async def foreign_process(setting: Setting) -> None:
    """Once through the mix."""
    jobs = mix(setting.order, rehearsal=setting.cpu)
    async with Studio.open(setting.place("foreign"), plan(setting)) as studio:
        seen = _Seen()
        with setting.card.sampled() as samples:
            posted = await post(studio, jobs, 1)
            watching = asyncio.create_task(_watch(studio, seen))
            try:
                async with _coming(setting, posted, seen) as came:
                    await wait_all(posted, setting.limit_s)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        found = await studio.jobs(owners(posted))
        row = {
            **rows.outcome(posted, samples),
            **rows.booked(found, posted, {}),
            "workers": setting.workers,
            "round": 1,
            "facts": {**came, **_adapted(seen, came["took_at"])},
        }
        setting.note("foreign", row)


@asynccontextmanager
async def _coming(
    setting: Setting, posted: list[Posted], seen: _Seen
) -> AsyncIterator[dict[str, Any]]:
    """In the middle of the mix the neighbour takes its memory, as fast as it gets it."""
    await wait_all(posted, setting.limit_s, enough=_AFTER)
    seen.before = seen.foreign[-1][1] if seen.foreign else 0
    if setting.card.reading() is None:
        yield {"took_at": time.time(), "held": 0, "took_s": 0.0}
        return
    say("a foreign process comes")
    holder = Holder.start(setting.python, os.environ, "--take", str(_BYTES))
    began = time.time()
    try:
        held = await asyncio.to_thread(holder.wait)
        yield {"took_at": time.time(), "held": held, "took_s": round(time.time() - began, 2)}
    finally:
        holder.stop()


async def _watch(studio: Studio, seen: _Seen) -> None:
    while True:
        seen.look(await studio.pool())
        await asyncio.sleep(_LOOK_S)


def _adapted(seen: _Seen, took_at: float) -> dict[str, Any]:
    """Seconds from when the process had its memory until admissions were right again.

    ``known_after_s``: until the ledger counted it; ``fits_after_s``: until all promises fitted.
    """
    known_at = seen.known_at()
    over = [at for at, bytes_ in seen.over if at > took_at and bytes_ > 0]
    return {
        "known_after_s": None if known_at is None else round(known_at - took_at, 2),
        "fits_after_s": round(over[-1] - took_at, 2) if over else 0.0,
        "most_over": max((bytes_ for at, bytes_ in seen.over if at > took_at), default=0),
    }
