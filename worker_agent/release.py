"""Makes an idle worker give its memory back, and waits until that is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from worker_agent.comfy_client import ComfyClient, WorkerUnreachable
from worker_agent.probe_side import ProbeSide
from worker_agent.residency import Residency
from worker_agent.services import Services

_log = structlog.get_logger(__name__)

#: how long a release may take until the memory is seen back, and how often that is looked at, seconds
_RELEASE: Final = 10.0
_LOOK: Final = 0.2


class Releaser:
    """One worker's."""

    def __init__(
        self,
        services: Services,
        worker: str,
        client: Callable[[], ComfyClient],
        probe: ProbeSide,
        residency: Residency,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        """Release on order.

        Args:
            services: the agent's services.
            worker: its id.
            client: its interface, at its present address.
            probe: lets go at once, where there is one.
            residency: what it holds.
            refresh: asks the worker for its figures.
        """
        self._services = services
        self._worker = worker
        self._client = client
        self._probe = probe
        self._residency = residency
        self._refresh = refresh

    async def release(self) -> int:
        """Let go of everything; bytes that it holds after. The worker is idle."""
        began = self._services.clock()
        by = "probe"
        try:
            if not await self._probe.release():
                by = "worker"
                await self._client().free()
                # it frees what it has cached in host memory, too, where the device shows nothing
                await asyncio.sleep(_LOOK)
            await self._wait_until_empty()
        except WorkerUnreachable as error:
            _log.warning("release_failed", worker=self._worker, detail=str(error))
        self._residency.emptied()
        used = self._services.book.used(self._worker)
        seconds = round(self._services.clock() - began, 3)
        _log.info("released", worker=self._worker, used_bytes=used, by=by, seconds=seconds)
        return used

    async def _wait_until_empty(self) -> None:
        until = self._services.clock() + _RELEASE
        while self._services.clock() < until:
            await self._refresh()
            await self._services.sample()
            if self._residency.is_empty:
                return
            await asyncio.sleep(_LOOK)
        _log.warning("release_incomplete", worker=self._worker)
