"""Tells a collector of OpenTelemetry of each ended job, a while after its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from config.metrics import Otel
from dashboard.history.consume import Sleep
from dashboard.sinks.spans import Trace, link_of, trace_of
from dashboard.sinks.toll import Toll
from store.traces import Kept

_log = structlog.get_logger()

#: Columns of a job's row that are not kept here: they may have 100 MiB.
_BODIES: Final = frozenset({"prompt", "result"})
#: Jobs that wait at most; beyond that the oldest are dropped and counted.
_MOST_WAITING: Final = 10_000
#: Traces of one request at most.
_AT_ONCE: Final = 50
_BACK_OFF_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_LOOK_S: Final = 0.5


class Exporter(Protocol):
    """Sends traces."""

    def send(self, traces: Sequence[Trace]) -> bool:
        """Send, and wait for the answer, in a thread of its own; False: it did not take them."""
        ...


class Traces(Protocol):
    """Reads what is kept of a job (``store.traces``)."""

    async def read(self, job_id: str) -> Kept:
        """What there is."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    due: float
    job: Mapping[str, Any]
    link: tuple[int, int] | None


class OtelSink:
    """Takes ended jobs at once; makes and sends their traces when the probes have told of them."""

    def __init__(
        self,
        settings: Otel,
        pool: str,
        traces: Traces,
        exporter: Exporter,
        toll: Toll,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``clock``: any seconds that grow; ``toll``: what was sent, and what was lost."""
        self._settings = settings
        self._pool = pool
        self._traces = traces
        self._exporter = exporter
        self._toll = toll
        self._clock = clock
        self._sleep = sleep
        self._waiting: deque[_Waiting] = deque()

    def jobs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Jobs that have ended."""
        due = self._clock() + self._settings.settle
        for row in rows:
            job = {name: value for name, value in row.items() if name not in _BODIES}
            self._waiting.append(_Waiting(due, job, link_of(row["prompt"])))
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popleft()
            self._toll.lost(1)

    async def run(self) -> None:
        """Send until cancelled."""
        failures = 0
        while True:
            due = [one for one in self._waiting if one.due <= self._clock()][:_AT_ONCE]
            if not due:
                await self._sleep(_LOOK_S)
                continue
            if await self._sent(due):
                failures = 0
                for one in due:
                    self._drop(one)
            else:
                pause = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)]
                failures += 1
                _log.warning("otel_waits", jobs=len(self._waiting), seconds=pause)
                await self._sleep(pause)

    async def _sent(self, due: Sequence[_Waiting]) -> bool:
        try:
            traces = [await self._trace(one) for one in due]
        except (SQLAlchemyError, OSError):
            return False
        if not await asyncio.to_thread(self._exporter.send, traces):
            return False
        self._toll.sent(sum(len(trace.spans) for trace in traces))
        return True

    async def _trace(self, one: _Waiting) -> Trace:
        kept = await self._traces.read(one.job["id"])
        return trace_of(one.job, kept, self._pool, one.link, users=self._settings.users)

    def _drop(self, one: _Waiting) -> None:
        # the oldest may have been dropped meanwhile
        if one in self._waiting:
            self._waiting.remove(one)
