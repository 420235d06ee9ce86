"""Which worker's own browser UI is shown, if any has one.

One worker is chosen and kept while it is READY: a UI's files have names of that very
build, so pages and scripts of two workers must not be mixed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.agents import Agents
from gateway.errors import UpstreamDown
from scheduler.states import Worker

#: a worker that has no UI is asked again after this long (one restarted in place may have one)
_NONE_S: Final = 60.0
#: the same for one that did not answer
_SILENT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Finding:
    has_ui: bool
    until: float


class WorkerUi:
    """What is known of the READY workers' own UIs.

    Args:
        agents: the workers; a change of capacity reads them anew, and what was found out
            of a worker that is no longer READY is forgotten.
        clock: seconds.
    """

    def __init__(self, agents: Agents, clock: Callable[[], float]) -> None:
        self._agents = agents
        self._clock = clock
        self._found: dict[str, _Finding] = {}
        self._shown = ""
        self._looking = asyncio.Lock()

    async def worker(self) -> Worker | None:
        """The READY worker whose UI is shown; None: none has one."""
        ready = await self._agents.ready()
        self._forget_all_but(ready)
        if self._unknown(ready):
            async with self._looking:
                await self._look(self._unknown(ready))
        having = [one for one in ready if one.id in self._found and self._found[one.id].has_ui]
        chosen = next((one for one in having if one.id == self._shown), None)
        chosen = chosen or next(iter(having), None)
        self._shown = chosen.id if chosen is not None else ""
        return chosen

    def gone(self, worker: Worker) -> None:
        """It did not answer: show another UI for now, whatever the pool still says of it."""
        self._found[worker.id] = _Finding(False, self._clock() + _SILENT_S)

    def _forget_all_but(self, ready: Sequence[Worker]) -> None:
        ids = {worker.id for worker in ready}
        for worker_id in self._found.keys() - ids:
            del self._found[worker_id]

    def _unknown(self, ready: Sequence[Worker]) -> list[Worker]:
        """Workers to ask; none while the UI that is shown is there."""
        shown = self._found.get(self._shown)
        if shown is not None and shown.has_ui:
            return []
        now = self._clock()
        return [
            worker
            for worker in ready
            if (known := self._found.get(worker.id)) is None
            or (not known.has_ui and known.until <= now)
        ]

    async def _look(self, workers: Sequence[Worker]) -> None:
        for worker, finding in zip(
            workers, await asyncio.gather(*map(self._ask, workers)), strict=True
        ):
            self._found[worker.id] = finding

    async def _ask(self, worker: Worker) -> _Finding:
        try:
            has_ui = await self._agents.has_page(worker)
        except UpstreamDown:
            return _Finding(False, self._clock() + _SILENT_S)
        return _Finding(has_ui, self._clock() + _NONE_S)


WORKER_UI: Final[web.AppKey[WorkerUi]] = web.AppKey("worker_ui", WorkerUi)
