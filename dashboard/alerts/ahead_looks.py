"""Early warnings: what will be over its limit if nothing is done (pure).

They are silent where nothing grows: a full GPU whose scheduler keeps its distance, or a queue
whose forecasts hold, is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.alert_rules import Rule
from dashboard.alerts.queue_looks import FAILURES_MS, head_of, waits_since
from dashboard.alerts.reading import Reading
from dashboard.alerts.scene import Scene
from dashboard.alerts.trend import trend
from dashboard.alerts.words import spell
from scheduler.states import Gpu, MemorySource

#: Other processes that grew by less than this share of the memory are not growing.
_LEAST_GROWTH: Final = 0.02
#: Fewer jobs in the queue than this are no trend.
_LEAST_QUEUE: Final = 5.0


def headroom_soon(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """Free memory when all promises are used, and other processes have grown on as they did."""
    for gpu in scene.snapshot.gpus:
        if gpu.memory_source is MemorySource.NONE or not gpu.total_bytes:
            continue
        if scene.now_ms - gpu.heartbeat_ms > scene.silent_ms:
            yield Reading(subject=f"gpu:{gpu.id}", value=None)
            continue
        yield _foreseen(rule, scene, gpu)


def _foreseen(rule: Rule, scene: Scene, gpu: Gpu) -> Reading:
    points = scene.foreign.get(gpu.id, ())
    found = trend(points)
    foreign = gpu.foreign_bytes / gpu.total_bytes
    held = sum(one.hold_bytes for one in scene.snapshot.workers if one.gpu == gpu.id)
    free = 1 - foreign - held / gpu.total_bytes
    grown = found is not None and found.after(0) - points[0][1] >= _LEAST_GROWTH
    rate = found.slope if found is not None and found.grows and grown else 0.0
    minutes = (free - rule.limit) / rate / 60_000 if rate else 0.0
    text = "other processes hold as much as before"
    if rate:
        text = (
            f"other processes take {rate * 60_000:.2%} of its memory more each minute: in "
            f"{max(0.0, minutes):.0f} min less than {rule.limit:.0%} is free"
        )
    elif free < rule.limit:
        text = "when its jobs use what they were promised, there is no room left"
    return Reading(
        subject=f"gpu:{gpu.id}",
        value=max(0.0, free - rate * scene.horizon_ms),
        detail={
            "text": text,
            "gpu": gpu.id,
            "agent": gpu.agent,
            "name": gpu.name,
            "minutes": round(max(0.0, minutes), 1),
        },
    )


def wait_soon(rule: Rule, scene: Scene) -> Iterator[Reading]:
    """The wait of each user's first job by its forecast, and of a new job where the queue grows."""
    for backlog in scene.snapshot.backlogs:
        head = head_of(backlog, rule)
        if head is None or not head.start_p50_ms:
            continue
        since = waits_since(backlog, head)
        crosses_ms = since + int(rule.limit * 1000)
        late = scene.now_ms < crosses_ms <= scene.now_ms + scene.horizon_ms
        waits = max(0, head.start_p50_ms - since) / 1000
        minutes = max(0, crosses_ms - scene.now_ms) / 60_000
        yield Reading(
            subject=f"user:{backlog.user}",
            user=backlog.user,
            group=backlog.group,
            # what lies beyond the horizon, or has come true, is no warning
            value=waits if late else 0.0,
            detail={
                "text": f"the next job should start after {spell(waits)}: over "
                f"{spell(rule.limit)} in {minutes:.0f} min",
                "job": head.id,
                "prompt_id": head.prompt_id,
                "minutes": round(minutes, 1),
            },
        )
    if not (rule.users or rule.groups):
        yield _growing(rule, scene)


def _growing(rule: Rule, scene: Scene) -> Reading:
    """A job that comes at the horizon waits for all that are before it, at the pace of now."""
    found = trend(scene.queue)
    ended = sum(job.ended_ms >= scene.now_ms - FAILURES_MS for job in scene.ended)
    per_ms = ended / FAILURES_MS
    if found is None or not found.grows or not per_ms or found.now < _LEAST_QUEUE:
        return Reading(subject="pool", value=0.0)
    waits = found.after(scene.horizon_ms) / per_ms / 1000
    text = (
        f"{found.slope * 60_000:.1f} jobs more wait each minute: who posts in "
        f"{scene.horizon_ms / 60_000:.0f} min waits for {spell(waits)}"
    )
    return Reading(subject="pool", value=waits, detail={"text": text})
