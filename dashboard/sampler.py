"""One reader of the ledger for all pages of a process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from config.settings import Settings
from dashboard import shapes
from dashboard.ended import EndedWindow
from dashboard.overview import ENDED_MINUTES
from dashboard.sample import GpuSample, Held, Sample, condense
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.states import Snapshot

_log = structlog.get_logger()

#: Time between two samples while somebody looks: pages change twice a second at most.
LIVE_SECONDS: Final = 0.5
#: Time between two while nobody does; the curves of the next visitor come from these.
IDLE_SECONDS: Final = 2.0
#: Points of a GPU's curve, one every ``IDLE_SECONDS``: ten minutes.
CURVE_POINTS: Final = 300
#: Queued jobs of each user that a page can show.
_WINDOW: Final = 50


class Sampler:
    """Holds the newest sample and each GPU's curve; tells watchers when a page would change."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Callable[[], Settings],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock``: any seconds that grow."""
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._ended = EndedWindow(ENDED_MINUTES)
        self._cursor: str | None = None
        self._sample: Sample | None = None
        self._sampled_at = float("-inf")
        self._curves: dict[str, deque[tuple[int, GpuSample]]] = {}
        self._reading = asyncio.Lock()
        self._news = asyncio.Condition()
        #: grows whenever a page would change
        self.version = 0
        #: pages that are open
        self.watchers = 0

    @property
    def sample(self) -> Sample | None:
        """The newest, or None while the ledger is out of reach."""
        return self._sample

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await self.refresh(0.0)
            await asyncio.sleep(LIVE_SECONDS if self.watchers else IDLE_SECONDS)

    async def refresh(self, max_age_s: float = LIVE_SECONDS) -> Sample | None:
        """A sample that is no older; askers at the same time share one reading."""
        async with self._reading:
            if self._clock() - self._sampled_at < max_age_s:
                return self._sample
            # what happens while it is read may not be in it
            began = self._clock()
            try:
                sample = await self._read()
            except LedgerUnavailable as error:
                if self._sample is not None or not self.version:
                    _log.warning("dashboard_without_ledger", error=str(error))
                await self._publish(None)
            else:
                self._extend_curves(sample)
                await self._publish(sample)
            self._sampled_at = began
            return self._sample

    async def changed(self, seen: int) -> int:
        """Wait until a page that shows version ``seen`` would change; the version to show now."""
        async with self._news:
            await self._news.wait_for(lambda: self.version != seen)
            return self.version

    def curves(self) -> dict[str, shapes.Curve]:
        """Each GPU's last minutes, in columns as charts want them."""
        return {
            gpu: {
                "at_ms": [at_ms for at_ms, _ in points],
                "foreign_bytes": [point.foreign_bytes for _, point in points],
                "resident_bytes": [point.resident_bytes for _, point in points],
                "reserved_bytes": [point.reserved_bytes for _, point in points],
                "free_bytes": [point.free_bytes for _, point in points],
            }
            for gpu, points in self._curves.items()
        }

    async def _read(self) -> Sample:
        snapshot = await self._ledger.snapshot(_WINDOW)
        if self._cursor is None:
            self._cursor = f"{snapshot.now_ms - ENDED_MINUTES * 60_000}-0"
        while events := await self._ledger.events(self._cursor, 0):
            self._ended.add(events)
            self._cursor = events[-1].id
        heartbeat_s = self._settings().scheduler.heartbeat
        held = await self._held(snapshot)
        return condense(snapshot, self._ended.by_user(snapshot.now_ms), heartbeat_s, held)

    async def _held(self, snapshot: Snapshot) -> list[Held]:
        """Jobs that no plan sees, because their users keep them from starting."""
        waiting = {backlog.user: backlog.queued for backlog in snapshot.backlogs}
        held: list[Held] = []
        for row in await self._ledger.counts():
            count = row.queued - waiting.get(row.user, 0)
            if count > 0:
                jobs = await self._ledger.first_held(row.user, _WINDOW)
                held.append(Held(row.user, count, tuple(jobs)))
        return held

    async def _publish(self, sample: Sample | None) -> None:
        same = sample == self._sample and self.version
        self._sample = sample
        if not same:
            async with self._news:
                self.version += 1
                self._news.notify_all()

    def _extend_curves(self, sample: Sample) -> None:
        old, self._curves = self._curves, {}
        for gpu in sample.gpus:
            points = old.get(gpu.id) or deque(maxlen=CURVE_POINTS)
            if not points or sample.now_ms - points[-1][0] >= IDLE_SECONDS * 900:
                points.append((sample.now_ms, gpu))
            self._curves[gpu.id] = points
