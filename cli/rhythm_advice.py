"""What history says of the week, and what going by it would have gained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Scheduler
from scheduler.ledger import Pool
from scheduler.rhythm import HOUR_MS, LEAST_MS, MEMORY_MS, WEEK_MS, Peak, Rhythm, learn
from simulator.world.nodes import Node
from simulator.world.past import Outcome, replay
from simulator.world.world import WorldError
from store.records import PastRequest
from store.usage import SqlUsage

_DAY_MS: Final = 24 * HOUR_MS
#: Hours of a model that are named.
_BUSIEST: Final = 3
#: Requests that run once more at most: some ten seconds of a processor, twice.
_MOST_REQUESTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ModelWeek:
    """One model's week, in requests."""

    name: str
    weekly: float
    #: hour of the week (0: Monday's first) and requests in it, most first
    busiest: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Gain:
    """The same requests, off and on."""

    days: float
    requests: int
    off: Outcome
    on: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Everything that ``vramgate rhythm show`` tells."""

    mode: str
    zone: str
    share: float
    workers: int
    days: float = 0.0
    requests: int = 0
    is_trusted: bool = False
    models: tuple[ModelWeek, ...] = ()
    peaks: tuple[Peak, ...] = ()
    gain: Gain | None = None
    #: why there is no ``gain``
    why_not: str = ""

    def flat(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


async def advise(engine: AsyncEngine, pool: Pool, rules: Scheduler, now_ms: int) -> Advice:
    """Read history and try it; with a bar where stderr is a terminal.

    Args:
        engine: the store, with its tables.
        pool: whose workers and GPUs are counted.
        rules: the scheduler's settings.
        now_ms: the end of history.
    """
    usage = SqlUsage(engine)
    workers = sum(bool(worker.gpu) for worker in pool.workers.values())
    mode, zone = rules.rhythm.value, ZoneInfo(rules.rhythm_zone)
    first_ms = await usage.first_ms()
    if first_ms is None:
        return Advice(mode=mode, zone=rules.rhythm_zone, share=rules.rhythm_share, workers=workers)
    usages = await usage.usages(max(first_ms, now_ms - MEMORY_MS))
    rhythm = learn(usages, since_ms=first_ms, until_ms=now_ms, zone=zone)
    peaks = rhythm.peaks(
        now_ms, now_ms + _DAY_MS, workers=workers, share=rules.rhythm_share, zone=zone
    )
    split_ms = max(now_ms - WEEK_MS, first_ms + LEAST_MS)
    requests = await usage.newest(split_ms, _MOST_REQUESTS)
    nodes = _nodes(pool)
    why_not = _why_not(first_ms, now_ms, len(nodes), requests)
    gain = None
    if not why_not:
        past = learn(usages, since_ms=first_ms, until_ms=requests[0].submitted_ms, zone=zone)
        each = max(1, round(workers / len(nodes)))
        gain = _try(requests, nodes, each, rules, past)
        why_not = "" if gain else "some of the requests could not run on the GPUs of today"
    return Advice(
        mode=mode,
        zone=rules.rhythm_zone,
        share=rules.rhythm_share,
        workers=workers,
        days=(now_ms - first_ms) / _DAY_MS,
        requests=round(sum(one.requests for one in usages)),
        is_trusted=rhythm.is_trusted,
        models=_models(rhythm),
        peaks=tuple(peaks) if rhythm.is_trusted and workers else (),
        gain=gain,
        why_not=why_not,
    )


def _why_not(first_ms: int, now_ms: int, gpus: int, requests: Sequence[PastRequest]) -> str:
    days = (now_ms - first_ms) / _DAY_MS
    least = (LEAST_MS + _DAY_MS) // _DAY_MS
    if days < least:
        return (
            f"{days:.1f} days of history are too few: two weeks to learn from and a day to try it "
            f"on make {least}"
        )
    if not gpus:
        return "no worker with a GPU is known, so there is nothing to try it on"
    return "" if requests else "nothing was asked for in the last week"


def _models(rhythm: Rhythm) -> tuple[ModelWeek, ...]:
    weeks = {
        name: [rate * HOUR_MS / 1000 for rate in rhythm.week_of(name)] for name in rhythm.habits
    }
    ranked = sorted(weeks, key=lambda name: (-sum(weeks[name]), name))
    return tuple(ModelWeek(name, sum(weeks[name]), _busiest(weeks[name])) for name in ranked)


def _busiest(week: Sequence[float]) -> tuple[tuple[int, float], ...]:
    hours = sorted(range(len(week)), key=lambda hour: (-week[hour], hour))
    return tuple((hour, round(week[hour], 4)) for hour in hours[:_BUSIEST])


def _nodes(pool: Pool) -> list[Node]:
    """A host for each GPU that has workers."""
    used = {worker.gpu for worker in pool.workers.values()}
    gpus = [gpu for gpu in pool.gpus.values() if gpu.id in used and gpu.total_bytes]
    return [
        Node(id=f"n{n}", model=gpu.name, gpus=(f"n{n}-gpu0",), vram_bytes=gpu.total_bytes)
        for n, gpu in enumerate(gpus)
    ]


def _try(
    requests: Sequence[PastRequest],
    nodes: Sequence[Node],
    workers_per_gpu: int,
    rules: Scheduler,
    rhythm: Rhythm,
) -> Gain | None:
    """Run them with and without the table; None: some never end on these GPUs."""
    try:
        with _progress() as progress:
            bar = progress.add_task("history", total=2 * len(requests))

            def tell(ended: int) -> None:
                progress.advance(bar, ended)

            off, on = (
                replay(requests, nodes, workers_per_gpu, rules, table, tell)
                for table in (None, rhythm)
            )
    except WorldError:
        return None
    days = (requests[-1].submitted_ms - requests[0].submitted_ms) / _DAY_MS
    return Gain(days, len(requests), off, on)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("requests"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
