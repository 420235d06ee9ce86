"""Makes a recording of what the store has: one job, or a span of time, entry by entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from dashboard.perf_json import rows
from dashboard.perf_json.redaction import Names
from dashboard.perf_json.shapes import About, Entry, Gap, Gpu, LeftOut, Memory, Run, Span, Worker
from store.folding import HOUR_MS
from store.recordings import Scope, SqlRecordings
from store.samples import MOST_POINTS, SqlSamples, step_for
from store.users import SqlUsers

Row = Mapping[str, Any]
#: A worker's memory is read four times a second; a longer silence is a gap.
_SILENCE_MS: Final = 5000
#: Nodes that are left out first: shorter than this, seconds.
_LEAST_S: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
#: Time before and after a job that its GPU is shown for.
_AROUND_MS: Final = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of each kind is in a file at most."""

    jobs: int = 50_000
    nodes: int = 200_000
    moves: int = 50_000
    #: of one worker's memory
    points: int = 20_000
    #: of one GPU's samples
    samples: int = MOST_POINTS
    #: with shapes and numbers of nodes' inputs and outputs
    values: bool = True


@dataclass(frozen=True, slots=True)
class Head:
    """What a file begins with."""

    about: About
    span: Span


@dataclass(frozen=True, slots=True)
class _Curves:
    """Samples of the GPUs that are in a file, and of the queue."""

    step_s: int
    by_gpu: Mapping[str, Sequence[Row]]
    silent: Mapping[str, Sequence[tuple[int, int]]]
    pool: Sequence[Row]

    def gpus(self) -> Iterator[Gpu]:
        for gpu, some in self.by_gpu.items():
            yield Gpu(id=gpu, total_bytes=max((row["total_bytes"] for row in some), default=0))

    def columns(self) -> Iterator[Entry]:
        for gpu, some in self.by_gpu.items():
            if some:
                yield rows.samples(gpu, self.step_s, some)
        if self.pool:
            yield rows.queue(self.step_s, self.pool)

    def gaps(self) -> Iterator[Gap]:
        for gpu in self.by_gpu:
            for from_ms, until_ms in self.silent.get(gpu, ()):
                yield Gap(subject=f"gpu:{gpu}", from_ms=from_ms, until_ms=until_ms, why="silent")


class Recording:
    """Reads what is asked for. A scope's user, and nobody else, is in what comes out."""

    def __init__(
        self,
        store: SqlRecordings,
        samples: SqlSamples,
        users: SqlUsers,
        *,
        clock: Callable[[], float],
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._store = store
        self._samples = samples
        self._users = users
        self._clock = clock

    def head(self, scope: Scope, names: Names) -> Head:
        """Who wrote it, and about which time."""
        about = About(
            writer=_program(),
            written_ms=int(self._clock() * 1000),
            scope="span" if scope.job is None else "job",
            redacted=not names.true,
            own=scope.user is not None,
        )
        return Head(about, Span(from_ms=scope.from_ms, until_ms=scope.until_ms))

    async def entries(
        self, scope: Scope, names: Names, budget: Budget | None = None
    ) -> AsyncIterator[Entry]:
        """All of it, what others refer to first."""
        budget = budget or Budget()
        left: list[LeftOut] = []
        runs = [run async for run in self._runs(scope, names, budget, left)]
        workers = {run.worker: run.gpu for run in runs if run.worker}
        curves = await self._curves(scope, workers, budget)
        for gpu in curves.gpus():
            yield gpu
        for worker, gpu_id in sorted(workers.items()):
            yield Worker(id=worker, gpu=gpu_id)
        async for one in self._jobs(scope, names, budget, left):
            yield one
        for run in runs:
            yield run
        async for node in self._nodes(scope, names, budget, left):
            yield node
        async for move in self._moves(scope, names, budget, left):
            yield move
        async for piece in self._memory(scope, runs, budget):
            yield piece
        for curve in curves.columns():
            yield curve
        async for other in self._sums(scope, names):
            yield other
        for gap in curves.gaps():
            yield gap
        for row in await self._store.gaps(scope, workers):
            yield rows.gap(row)
        for one_left in left:
            yield one_left

    async def _runs(
        self, scope: Scope, names: Names, budget: Budget, left: list[LeftOut]
    ) -> AsyncIterator[Run]:
        number = 0
        async for row in self._store.runs(scope):
            number += 1
            if number <= budget.jobs:
                yield rows.run(row, names)
        _note(left, "runs", number - budget.jobs, f"more than {budget.jobs} in the span")

    async def _jobs(
        self, scope: Scope, names: Names, budget: Budget, left: list[LeftOut]
    ) -> AsyncIterator[Entry]:
        models = await self._store.models(scope)
        number = 0
        async for row in self._store.jobs(scope):
            number += 1
            if number > budget.jobs:
                break
            yield rows.job(row, models.get(row["fingerprint"], ""), names)
        if number > budget.jobs:
            count = await self._store.count_jobs(scope)
            _note(left, "jobs", count - budget.jobs, f"more than {budget.jobs} in the span")

    async def _nodes(
        self, scope: Scope, names: Names, budget: Budget, left: list[LeftOut]
    ) -> AsyncIterator[Entry]:
        total, *long = await self._store.count_nodes(scope, _LEAST_S)
        steps = [(0.0, total), *zip(_LEAST_S, long, strict=True)]
        # the first that fits; of nodes of a minute and more, the first so many
        least_s, kept = next((one for one in steps if one[1] <= budget.nodes), steps[-1])
        number = 0
        async for row in self._store.nodes(scope, least_s):
            number += 1
            if number > budget.nodes:
                break
            yield rows.node(row, names, values=budget.values)
        kept = min(kept, budget.nodes)
        _note(left, "nodes", total - kept, f"from the cache, or shorter than {least_s:g} s")

    async def _moves(
        self, scope: Scope, names: Names, budget: Budget, left: list[LeftOut]
    ) -> AsyncIterator[Entry]:
        number = 0
        async for row in self._store.moves(scope):
            number += 1
            if number <= budget.moves:
                yield rows.move(row, names)
        _note(left, "moves", number - budget.moves, f"more than {budget.moves} in the span")

    async def _memory(
        self, scope: Scope, runs: Sequence[Run], budget: Budget
    ) -> AsyncIterator[Entry]:
        """Curves of workers; where it is one job's or one user's, only while that ran."""
        whole = scope.job is None and scope.user is None
        for worker, times in _windows(scope, runs, whole=whole).items():
            length = sum(until - begin for begin, until in times)
            each_ms = length // max(1, budget.points)
            for begin, until in times:
                points = self._store.curves(worker, begin, until)
                async for piece in _pieces(worker, points, each_ms):
                    yield piece

    async def _curves(self, scope: Scope, workers: Mapping[str, str], budget: Budget) -> _Curves:
        around = 0 if scope.job is None else _AROUND_MS
        begin, until = max(0, scope.from_ms - around), scope.until_ms + around
        step = step_for(until - begin, budget.samples)
        series = await self._samples.gpus(begin, until, step_s=step)
        pool = await self._samples.pool(begin, until, step_s=step)
        by_gpu: dict[str, list[Row]] = {gpu: [] for gpu in workers.values() if gpu}
        for row in series.rows:
            if scope.job is None or row["gpu"] in by_gpu:
                by_gpu.setdefault(row["gpu"], []).append(row)
        return _Curves(step, dict(sorted(by_gpu.items())), series.gaps, pool.rows)

    async def _sums(self, scope: Scope, names: Names) -> AsyncIterator[Entry]:
        for row in await self._store.alerts(scope):
            yield rows.alert(row, names)
        for one in await self._store.advice(scope):
            found = rows.advice(one, scope.user, names)
            if scope.job is None or scope.job in found.jobs:
                yield found
        if scope.job is not None:
            return
        for row in await self._store.waits(scope):
            yield rows.wait(row, names)
        hours = scope.from_ms - scope.from_ms % HOUR_MS, scope.until_ms
        for used in await self._users.sums(*hours, user=scope.user):
            yield rows.usage(used, names)


def _program() -> str:
    try:
        return f"vramgate {version('vramgate')}"
    except PackageNotFoundError:  # a checkout that was never installed
        return "vramgate"


def _note(left: list[LeftOut], part: str, count: int, why: str) -> None:
    if count > 0:
        left.append(LeftOut(part=part, count=count, why=why))


def _windows(scope: Scope, runs: Iterable[Run], *, whole: bool) -> dict[str, list[tuple[int, int]]]:
    """Times in which workers' memory is shown, by worker, in order and apart."""
    found: dict[str, list[tuple[int, int]]] = {}
    for run in sorted(runs, key=lambda one: one.started_ms or 0):
        if not run.worker:
            continue
        if whole:
            found[run.worker] = [(scope.from_ms, scope.until_ms)]
        elif run.started_ms is not None and run.seconds is not None:
            begin, until = run.started_ms, run.started_ms + int(run.seconds * 1000) + 1
            found.setdefault(run.worker, []).append((begin, until))
    return found


async def _pieces(
    worker: str, points: AsyncIterator[tuple[int, int, int, int | None]], each_ms: int
) -> AsyncIterator[Memory]:
    """Columns, in pieces without gaps; of each ``each_ms`` the moment with most memory in use."""
    kept: list[tuple[int, int, int, int | None]] = []
    last = -1
    async for point in points:
        if point[0] <= last:  # an agent has told twice
            continue
        if kept and point[0] - last > max(_SILENCE_MS, 3 * each_ms):
            yield _piece(worker, kept)
            kept = []
        last = point[0]
        if kept and each_ms and kept[-1][0] // each_ms == point[0] // each_ms:
            kept[-1] = max(kept[-1], point, key=lambda one: one[1])
        else:
            kept.append(point)
    if kept:
        yield _piece(worker, kept)


def _piece(worker: str, kept: Sequence[tuple[int, int, int, int | None]]) -> Memory:
    at_ms, allocated, reserved, free = (list(column) for column in _columns(kept))
    return Memory(
        worker=worker, at_ms=at_ms, allocated=allocated, reserved=reserved, device_free=free
    )


def _columns(kept: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    yield from zip(*kept, strict=True)
