"""What the rules of alerts would have found in the days: looked at minute by minute.

The rules, the looks and the states are the recorder's own; only what they look at comes from what
was played, all at once.
"""

from __future__ import annotations

import json
import statistics
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from config.alert_rules import rules_of
from config.settings import Settings
from dashboard.alerts.looks import look
from dashboard.alerts.machine import Key, Stepped, step
from dashboard.alerts.muting import muted
from dashboard.alerts.scene import Scene
from dashboard.alerts.sight import sights
from scheduler.states import Agent, Gpu, GpuState, MemorySource, Snapshot, Vitals
from simulator.day.play import Days
from simulator.day.studio import NODES
from store.alert_books import Look, SqlAlertBooks
from store.alert_records import Alert, AlertState
from store.sights import EndedJob, LongRun, SqlSights

_MINUTE_MS: Final = 60_000
#: Longer than any rule shows what has happened.
_BACK_MS: Final = 3_600_000


async def write_alerts(engine: AsyncEngine, days: Days, settings: Settings) -> None:
    """Write them into a store that has the days."""
    rules = [rule for rule in rules_of(settings.alerts) if rule.enabled]
    kinds = {rule.name: rule.kind for rule in rules}
    alerts: dict[str, Alert] = {}
    states: Mapping[Key, AlertState] = {}
    last_ms, done, looked = days.from_ms, Stepped(), look(rules, _nothing(days.from_ms))
    async for scene in _scenes(engine, days):
        looked = look(rules, scene)
        done = step(states, looked, scene.now_ms, last_ms)
        states, last_ms = done.states, scene.now_ms
        for alert in muted([*done.fired, *done.going], (), kinds, scene.now_ms):
            alerts[alert.id] = alert
        for alert_id, at_ms in done.ended.items():
            alerts[alert_id] = replace(alerts[alert_id], ended_ms=at_ms)
    await SqlAlertBooks(engine).write(
        Look(
            now_ms=last_ms,
            states=states.values(),
            alerts=[*alerts.values()],
            ended={},
            rules=sights(rules, looked, done, last_ms),
            groups=[],
            messages=[],
        ),
        None,
    )


async def _scenes(engine: AsyncEngine, days: Days) -> AsyncIterator[Scene]:
    seen = SqlSights(engine)
    ended = sorted(await seen.ended(days.from_ms), key=lambda job: job.ended_ms)
    runs = await _runs(seen, days, {job.id: job for job in ended})
    ends, run_ends = [job.ended_ms for job in ended], [run.ended_ms for run in runs]
    rows = _rows(days)
    for now_ms in range(days.from_ms + _MINUTE_MS, days.until_ms + 1, _MINUTE_MS):
        since = now_ms - _BACK_MS
        yield Scene(
            now_ms=now_ms,
            snapshot=_snapshot(rows, now_ms),
            silent_ms=10_000,
            ended=ended[bisect_left(ends, since) : bisect_right(ends, now_ms)][::-1],
            long_runs=runs[bisect_left(run_ends, since) : bisect_right(run_ends, now_ms)],
            behind_ms=0,
        )


async def _runs(seen: SqlSights, days: Days, jobs: Mapping[str, EndedJob]) -> list[LongRun]:
    """Long runs with what is usual for their class in their workflow, by their ends."""
    runs = await seen.long_runs(days.from_ms, 2.5, most=100_000)
    workflows = await seen.workflows([run.job for run in runs])
    loads = await seen.loads([run.job for run in runs])
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in runs:
        took[workflows.get(run.job, ("", ""))[0], run.class_type].append(run.seconds)
    usual = {key: statistics.median(some) for key, some in took.items() if len(some) >= 3}
    found = [
        replace(
            run,
            group=jobs[run.job].group if run.job in jobs else "",
            load_seconds=min(run.seconds, loads.get((run.job, run.attempt, run.node), 0.0)),
            usual=usual.get((workflows.get(run.job, ("", ""))[0], run.class_type)),
        )
        for run in runs
    ]
    return sorted(found, key=lambda run: run.ended_ms)


def _rows(days: Days) -> dict[str, list[Mapping[str, Any]]]:
    """Samples of each GPU, oldest first, of the longest step: the others overlap it."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(days.gpu_samples, key=lambda row: row["at_ms"]):
        if row["at_ms"] % _MINUTE_MS == 0:
            found[row["gpu"]].append(row)
    return found


def _snapshot(rows: Mapping[str, Sequence[Mapping[str, Any]]], now_ms: int) -> Snapshot:
    gpus, agents = [], []
    for node in NODES:
        heard_ms = 0
        for index, name in enumerate(node.gpus):
            row = _last(rows.get(name, ()), now_ms)
            if row is not None:
                heard_ms = max(heard_ms, _heard(row, now_ms))
                gpus.append(_gpu(node.id, node.model, index, row, _heard(row, now_ms)))
        if heard_ms:
            agents.append(Agent(id=node.id, url="", version="", heartbeat_ms=heard_ms))
    return Snapshot(now_ms=now_ms, gpus=tuple(gpus), workers=(), backlogs=(), agents=tuple(agents))


def _last(rows: Sequence[Mapping[str, Any]], now_ms: int) -> Mapping[str, Any] | None:
    at = bisect_right(rows, now_ms - 1, key=lambda row: row["at_ms"])
    return rows[at - 1] if at else None


def _heard(row: Mapping[str, Any], now_ms: int) -> int:
    """A row of this minute, or the last: its agent is there."""
    at_ms: int = row["at_ms"]
    return now_ms if now_ms - at_ms <= 2 * _MINUTE_MS else at_ms + _MINUTE_MS


def _gpu(agent: str, name: str, index: int, row: Mapping[str, Any], heard_ms: int) -> Gpu:
    held = sum(amount for _, _, amount in json.loads(row["holders"]))
    return Gpu(
        id=row["gpu"],
        agent=agent,
        index=index,
        name=name,
        total_bytes=row["total_bytes"],
        # what was promised is more than what is used
        used_bytes=row["foreign_bytes"] + min(held, row["resident_bytes"]),
        foreign_bytes=row["foreign_bytes"],
        state=GpuState.READY,
        memory_source=MemorySource.NVML,
        heartbeat_ms=heard_ms,
        vitals=Vitals(temperature_c=row["temperature"]),
    )


def _nothing(now_ms: int) -> Scene:
    snapshot = Snapshot(now_ms=now_ms, gpus=(), workers=(), backlogs=())
    return Scene(now_ms=now_ms, snapshot=snapshot, silent_ms=10_000)
