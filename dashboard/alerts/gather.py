"""Puts a scene together: from the ledger what is now, from the store what was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from config.alert_rules import Rule
from config.alerts import RuleKind
from config.settings import Settings
from config.upkeep import drained
from dashboard.alerts.scene import Scene, Spending
from dashboard.history.samples import fold_gpus, fold_pool
from scheduler.budgets import SPENT_NOTE, decode_spent, month_of
from scheduler.ledger import Ledger
from store.samples import Series, SqlSamples
from store.sights import LongRun, SqlSights

#: Queued jobs of each user that are looked at.
_WINDOW: Final = 10
#: Jobs that ended so long ago are looked at, at least.
_ENDED_MS: Final = 900_000
#: How far back trends look, in points of a minute.
_TREND_MS: Final = 2_100_000
_TREND_STEP_S: Final = 60
#: What is usual is reckoned anew after so long.
_USUAL_MS: Final = 300_000
_MOST_USUAL: Final = 500
#: Days over which a class's usual time is taken where its workflow has none.
_CLASS_MS: Final = 30 * 86_400_000
#: Fewer runs make nothing usual.
_LEAST_RUNS: Final = 3
#: Long runs are those of a second and more (``store.history_schema.LONG_RUN``).
_LEAST_SECONDS: Final = 1.0
Usual = Mapping[str, tuple[float, int]]


class Gatherer:
    """Makes scenes. Keeps what is usual for some minutes."""

    def __init__(
        self, ledger: Ledger, engine: AsyncEngine, settings: Callable[[], Settings]
    ) -> None:
        self._ledger = ledger
        self._sights = SqlSights(engine)
        self._samples = SqlSamples(engine, fold_gpus, fold_pool)
        self._settings = settings
        #: fingerprint, or "" for all → (when, seconds by class)
        self._usual: dict[str, tuple[int, Usual]] = {}
        #: (when looked, newest transition then), of those that were not in the store yet
        self._unstored: deque[tuple[int, int]] = deque(maxlen=1000)

    async def scene(self, rules: Sequence[Rule]) -> Scene:
        """What there is to see now.

        Args:
            rules: those that will look at it: what none of them asks for is not read.

        Raises:
            LedgerUnavailable: nothing is known of the present.
            SQLAlchemyError: nothing is known of the past.
        """
        settings = self._settings()
        snapshot = await self._ledger.snapshot(_WINDOW)
        now_ms = snapshot.now_ms
        _, overrides = await self._ledger.overrides()
        foreign, queue = await self._trends(now_ms)
        return Scene(
            now_ms=now_ms,
            snapshot=snapshot,
            silent_ms=int(settings.scheduler.heartbeat * 1000),
            drained=drained(overrides),
            quarantine_failures=settings.scheduler.quarantine_failures,
            long_runs=await self._long_runs(rules, now_ms),
            ended=await self._sights.ended(now_ms - _longest_ms(rules)),
            spending=await self._spending(settings, now_ms),
            behind_ms=await self._behind(now_ms),
            foreign=foreign,
            queue=queue,
            horizon_ms=int(settings.alerts.horizon * 1000),
        )

    async def _long_runs(self, rules: Sequence[Rule], now_ms: int) -> list[LongRun]:
        mine = [rule for rule in rules if rule.kind is RuleKind.NODE]
        if not mine:
            return []
        since_ms = now_ms - int(max(rule.lasts for rule in mine) * 1000)
        # half the limit: the page shows how far the longest one is from it
        least = max(_LEAST_SECONDS, min(rule.limit for rule in mine) / 2)
        runs = await self._sights.long_runs(since_ms, least)
        jobs = {run.job for run in runs}
        loads, known = await self._sights.loads(jobs), await self._workflows(jobs)
        found = []
        for run in runs:
            fingerprint, group = known.get(run.job, ("", ""))
            found.append(
                replace(
                    run,
                    group=group,
                    load_seconds=min(run.seconds, loads.get((run.job, run.attempt, run.node), 0.0)),
                    usual=await self._usual_of(fingerprint, run.class_type, since_ms, now_ms),
                )
            )
        return found

    async def _workflows(self, jobs: Collection[str]) -> dict[str, tuple[str, str]]:
        """Fingerprint and group: the store's of jobs that have ended, the ledger's of others."""
        known = await self._sights.workflows(jobs)
        missing = [job for job in jobs if job not in known]
        for record in await self._ledger.jobs(missing) if missing else []:
            if record is not None:
                known[record.id] = (record.fingerprint, record.group)
        return known

    async def _usual_of(
        self, fingerprint: str, class_type: str, before_ms: int, now_ms: int
    ) -> float | None:
        """Of the workflow's runs before the time that is looked at, else of the class's in any."""
        for name in (fingerprint, "") if fingerprint else ("",):
            at_ms, found = self._usual.get(name, (0, {}))
            if now_ms - at_ms > _USUAL_MS:
                if name:
                    found = await self._sights.usual(name, before_ms)
                else:
                    found = await self._sights.class_usual(before_ms - _CLASS_MS, before_ms)
                if len(self._usual) >= _MOST_USUAL:
                    self._usual.clear()
                self._usual[name] = (now_ms, found)
            seconds, runs = found.get(class_type, (0.0, 0))
            if runs >= _LEAST_RUNS:
                return seconds
        return None

    async def _spending(self, settings: Settings, now_ms: int) -> list[Spending]:
        limits = [(user.budget, user.budget_soft) for user in settings.users]
        limits += [(group.budget, group.budget_soft) for group in settings.groups]
        budgeted = any(limit != (None, None) for limit in limits)
        spent = decode_spent(await self._ledger.noted(SPENT_NOTE)) if budgeted else None
        zone = ZoneInfo(settings.scheduler.rhythm_zone)
        if spent is None or spent.month != month_of(now_ms, zone):
            return []
        users = [
            Spending(
                subject=f"user:{user.name}",
                user=user.name,
                group=user.group,
                used_us=spent.users.get(user.name, 0),
                soft_us=_micros(user.budget_soft),
                hard_us=_micros(user.budget),
            )
            for user in settings.users
        ]
        groups = [
            Spending(
                subject=f"group:{group.name}",
                user="",
                group=group.name,
                used_us=spent.groups.get(group.name, 0),
                soft_us=_micros(group.budget_soft),
                hard_us=_micros(group.budget),
            )
            for group in settings.groups
        ]
        return [*users, *groups]

    async def _behind(self, now_ms: int) -> int | None:
        """For how long, at least, something that happened has not been in the store."""
        newest_ms = int((await self._ledger.last_event_id()).partition("-")[0])
        recorded_ms = await self._sights.recorded_ms() or 0
        self._unstored.append((now_ms, newest_ms))
        while self._unstored and self._unstored[0][1] <= recorded_ms:
            self._unstored.popleft()
        return now_ms - self._unstored[0][0] if self._unstored else 0

    async def _trends(
        self, now_ms: int
    ) -> tuple[dict[str, list[tuple[int, float]]], list[tuple[int, float]]]:
        """Each GPU's foreign share, and the queue, by the minute."""
        since_ms = now_ms - _TREND_MS
        gpus = await self._samples.gpus(since_ms, now_ms, step_s=_TREND_STEP_S)
        pool = await self._samples.pool(since_ms, now_ms, step_s=_TREND_STEP_S)
        return _foreign(gpus), [(row["at_ms"], float(row["queued"])) for row in pool.rows]


def _foreign(gpus: Series) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for row in gpus.rows:
        share = row["foreign_bytes"] / row["total_bytes"] if row["total_bytes"] else 0.0
        found.setdefault(row["gpu"], []).append((row["at_ms"], share))
    return found


def _longest_ms(rules: Sequence[Rule]) -> int:
    happen = (RuleKind.OOM, RuleKind.ESTIMATE)
    spans = [int(rule.lasts * 1000) for rule in rules if rule.kind in happen]
    return max(_ENDED_MS, *spans) if spans else _ENDED_MS


def _micros(hours: float | None) -> float | None:
    return None if hours is None else hours * 3.6e9
