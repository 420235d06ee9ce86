"""One reader of the ledger for all pages of a process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from config.maintenance import Maintenance
from config.settings import Settings
from dashboard.alerts.badge import Badge
from dashboard.ended import EndedWindow
from dashboard.live_shapes import LiveCurve
from dashboard.node_names import NodeNames
from dashboard.overview import ENDED_MINUTES
from dashboard.progress import NoProgress, Progress
from dashboard.sample import Closed, GpuSample, Held, Sample, condense, keep_vitals
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.live import Standing
from scheduler.states import Snapshot

_log = structlog.get_logger()

#: Time between two samples while somebody looks: pages change twice a second at most.
LIVE_SECONDS: Final = 0.5
#: Time between two while nobody does; the curves of the next visitor come from these.
IDLE_SECONDS: Final = 2.0
#: Points of a GPU's curve, one every ``IDLE_SECONDS``: ten minutes.
CURVE_POINTS: Final = 300
#: Queued jobs of each user that are read.
WINDOW: Final = 50
#: Temperature and the like change all the time: they are news this often at most.
VITALS_SECONDS: Final = 2.0
#: Queued jobs of each user that are read while somebody looks at the whole queue.
WHOLE: Final = 20_000
#: How long the whole queue goes on to be read after somebody has asked for it.
_WHOLE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of a GPU's curve."""

    at_ms: int
    gpu: GpuSample
    #: worker, user of its job or "", bytes held
    holders: tuple[tuple[str, str, int], ...]


class Sampler:
    """Holds the newest sample and each GPU's curve; tells watchers when a page would change."""

    def __init__(
        self,
        ledger: Ledger,
        settings: Callable[[], Settings],
        clock: Callable[[], float] = time.monotonic,
        progress: Progress | None = None,
        alerts: Callable[[], Badge] = Badge,
    ) -> None:
        """``clock``: any seconds that grow. ``progress``: who tells where running jobs stand.

        ``alerts``: how many fire.
        """
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._progress = progress or NoProgress()
        self._alerts = alerts
        self._names = NodeNames(ledger)
        self._listeners: list[Callable[[], None]] = []
        self._ended = EndedWindow(ENDED_MINUTES)
        self._cursor: str | None = None
        self._sample: Sample | None = None
        self._sampled_at = float("-inf")
        self._vitals_at = float("-inf")
        self._snapshot: Snapshot | None = None
        self._held_jobs: tuple[Held, ...] = ()
        self._window = WINDOW
        self._whole_until = float("-inf")
        self._curves: dict[str, deque[Point]] = {}
        self._reading = asyncio.Lock()
        self._news = asyncio.Condition()
        #: grows whenever a page would change
        self.version = 0
        #: where running jobs stand, as of the newest sample
        self.standings: Mapping[str, Standing] = {}
        #: pages that are open
        self.watchers = 0

    @property
    def sample(self) -> Sample | None:
        """The newest, or None while the ledger is out of reach."""
        return self._sample

    def on_sample(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each reading, whether it brought news or not."""
        self._listeners.append(listener)

    @property
    def moment(self) -> tuple[Snapshot, tuple[Held, ...]] | None:
        """What the newest sample was made of; None: nothing was ever read."""
        return None if self._snapshot is None else (self._snapshot, self._held_jobs)

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
                standings = await self._standings(sample)
            except LedgerUnavailable as error:
                if self._sample is not None or not self.version:
                    _log.warning("dashboard_without_ledger", error=str(error))
                await self._publish(None, {})
            else:
                self._extend_curves(sample)
                await self._publish(sample, standings)
            self._sampled_at = began
            return self._sample

    async def changed(self, seen: int) -> int:
        """Wait until a page that shows version ``seen`` would change; the version to show now."""
        async with self._news:
            await self._news.wait_for(lambda: self.version != seen)
            return self.version

    async def whole(self) -> tuple[Snapshot, tuple[Held, ...]] | None:
        """All that waits and runs, no older than a live page's figures; None: out of reach."""
        self._whole_until = self._clock() + _WHOLE_SECONDS
        sample = await self.refresh(LIVE_SECONDS if self._window == WHOLE else 0.0)
        if sample is None or self._snapshot is None:
            return None
        return self._snapshot, self._held_jobs

    def curves(self, seen: Callable[[str], str], after_ms: int = 0) -> dict[str, LiveCurve]:
        """Each GPU's last minutes, in columns as charts want them.

        Args:
            seen: what a user is called to whoever looks.
            after_ms: points that are no newer are left out.
        """
        newer = {
            gpu: [point for point in points if point.at_ms > after_ms]
            for gpu, points in self._curves.items()
        }
        return {gpu: _curve(points, seen) for gpu, points in newer.items() if points}

    async def _read(self) -> Sample:
        self._window = WHOLE if self._clock() < self._whole_until else WINDOW
        snapshot = await self._ledger.snapshot(self._window)
        if self._cursor is None:
            self._cursor = f"{snapshot.now_ms - ENDED_MINUTES * 60_000}-0"
        while events := await self._ledger.events(self._cursor, 0):
            self._ended.add(events)
            self._cursor = events[-1].id
        settings = self._settings()
        heartbeat_s = settings.scheduler.heartbeat
        held = await self._held(snapshot)
        self._snapshot, self._held_jobs = snapshot, tuple(held)
        sample = condense(snapshot, self._ended.by_user(snapshot.now_ms), heartbeat_s, held)
        sample = replace(sample, alerts=self._alerts())
        sample = replace(sample, closed=_closed(settings.maintenance, snapshot.now_ms))
        if self._sample is not None and self._clock() - self._vitals_at < VITALS_SECONDS:
            return keep_vitals(sample, self._sample)
        self._vitals_at = self._clock()
        return sample

    async def _held(self, snapshot: Snapshot) -> list[Held]:
        """Jobs that no plan sees, because their users keep them from starting."""
        waiting = {backlog.user: backlog.queued for backlog in snapshot.backlogs}
        held: list[Held] = []
        for row in await self._ledger.counts():
            count = row.queued - waiting.get(row.user, 0)
            if count > 0:
                jobs = await self._ledger.first_held(row.user, self._window)
                held.append(Held(row.user, count, tuple(jobs)))
        return held

    async def _standings(self, sample: Sample) -> dict[str, Standing]:
        told = self._progress.standings()
        return await self._names.named(
            {job.id: told[job.id] for job in sample.running if job.id in told}
        )

    async def _publish(self, sample: Sample | None, standings: Mapping[str, Standing]) -> None:
        same = sample == self._sample and standings == self.standings and self.version
        self._sample, self.standings = sample, standings
        for listener in self._listeners:
            listener()
        if not same:
            async with self._news:
                self.version += 1
                self._news.notify_all()

    def _extend_curves(self, sample: Sample) -> None:
        old, self._curves = self._curves, {}
        for gpu in sample.gpus:
            points = old.get(gpu.id) or deque(maxlen=CURVE_POINTS)
            if not points or sample.now_ms - points[-1].at_ms >= IDLE_SECONDS * 900:
                holders = tuple(
                    (worker.id, worker.user, worker.hold_bytes)
                    for worker in sample.workers
                    if worker.gpu == gpu.id and worker.hold_bytes
                )
                points.append(Point(sample.now_ms, gpu, holders))
            self._curves[gpu.id] = points


def _closed(maintenance: Maintenance, now_ms: int) -> Closed | None:
    if maintenance.over(now_ms / 1000):
        return None
    until = maintenance.until
    return Closed(
        why=maintenance.message, until_ms=int(until.timestamp() * 1000) if until is not None else 0
    )


def _curve(points: list[Point], seen: Callable[[str], str]) -> LiveCurve:
    held: dict[tuple[str, str], list[int]] = {}
    for index, point in enumerate(points):
        for worker, user, amount in point.holders:
            column = held.setdefault((worker, seen(user)), [0] * len(points))
            column[index] += amount
    return {
        "at_ms": [point.at_ms for point in points],
        "foreign_bytes": [point.gpu.foreign_bytes for point in points],
        "resident_bytes": [point.gpu.resident_bytes for point in points],
        "reserved_bytes": [point.gpu.reserved_bytes for point in points],
        "free_bytes": [point.gpu.free_bytes for point in points],
        "holders": [
            {"worker": worker, "user": user, "bytes": column}
            for (worker, user), column in sorted(held.items())
        ],
    }
