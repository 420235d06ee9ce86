"""The probe in one worker, as its agent sees it: what it measures and what it keeps to.

Everything here is a help. A worker without a probe, or one whose probe fails, runs its
prompts as ever; it is only *observed* then, and what it holds is what the driver says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from config.probe import Limit
from scheduler.states import MemoryLimit
from worker_agent.comfy_client import WorkerUnreachable
from worker_agent.gpus import CONTEXT_BYTES
from worker_agent.probe_client import Busy, Freed, ProbeClient, ProbeFailed, ProbeInfo
from worker_agent.services import Services

_log = structlog.get_logger(__name__)

#: A prompt that has told its end may still be on its last lines: looks, and the pause between, s.
_TRIM_TRIES: Final = 20
_TRIM_PAUSE: Final = 0.02


class ProbeSide:
    """One worker's probe."""

    def __init__(
        self, services: Services, worker: str, connect: Callable[[], ProbeClient | None]
    ) -> None:
        """Know nothing yet.

        Args:
            services: the agent's services.
            worker: its id.
            connect: a client of its probe at its present address; None: it can have none.
        """
        self._services = services
        self._worker = worker
        self._connect = connect
        self._info: ProbeInfo | None = None
        self._mode = MemoryLimit.OBSERVED
        #: limit and context last told, None: nothing in this life
        self._told: tuple[int | None, int] | None = None
        #: what the trim after the last prompt found
        self._freed: Freed | None = None
        #: bytes on the device beyond torch's, measured after a prompt; None: not yet
        self._context: int | None = None

    @property
    def present(self) -> bool:
        """Whether the worker has a probe that answers."""
        return self._info is not None

    @property
    def limit(self) -> MemoryLimit:
        """What keeps the worker within its reservation."""
        if self._info is None or self._info.device == "cpu" or not self._wanted:
            return MemoryLimit.OBSERVED
        return self._mode

    @property
    def _wanted(self) -> bool:
        return self._services.settings.probe.limit is Limit.AUTO

    @property
    def loaded_bytes(self) -> int | None:
        """What models held on the device after the last prompt; None: not known."""
        if self._freed is None:
            return None
        return sum(model.loaded_bytes for model in self._freed.after.models)

    async def attach(self, sid: str) -> None:
        """A socket was opened: ask what is at its other end, and have records sent there.

        Raises:
            WorkerUnreachable: nobody answers.
        """
        client = self._connect()
        if client is None:
            return
        try:
            info = await client.info()
            if info is not None:
                await client.subscribe(sid)
        except ProbeFailed as error:
            _log.warning("probe_failed", worker=self._worker, call="attach", detail=str(error))
            info = None
        if info is None:
            self.detach()
        elif self._info is None or self._info.boot != info.boot:
            self.detach()
            self._info, self._mode = info, info.limit
            _log.info(
                "probe_found", worker=self._worker, limit=info.limit.value, missing=info.missing
            )

    def detach(self) -> None:
        """Its process is gone."""
        self._info = self._told = self._freed = self._context = None
        self._mode = MemoryLimit.OBSERVED

    async def hold_to(self, reserved_bytes: int) -> None:
        """Keep the worker's next prompts within their reservation; 0: as it likes."""
        client, info = self._connect(), self._info
        if client is None or info is None or info.device == "cpu":
            return
        # a process that has run nothing yet has not loaded all its kernels
        context = self._context if self._context is not None else CONTEXT_BYTES
        told = (reserved_bytes or None if self._wanted else None, context)
        if told == self._told or (told[0] is None and self._told is None):
            return
        self._told = None
        try:
            self._mode = await client.limit(*told)
        except (ProbeFailed, WorkerUnreachable) as error:
            _log.warning("limit_not_set", worker=self._worker, detail=str(error))
            self._mode = MemoryLimit.OBSERVED
            return
        self._told = told

    async def after_prompt(self) -> None:
        """A prompt has ended: its unused memory goes back to the device."""
        self._freed = None
        client = self._connect()
        if client is None or self._info is None or self._info.device == "cpu":
            return
        for _ in range(_TRIM_TRIES):
            try:
                self._freed = await client.trim()
            except Busy:
                await asyncio.sleep(_TRIM_PAUSE)
                continue
            except (ProbeFailed, WorkerUnreachable) as error:
                _log.warning("trim_failed", worker=self._worker, detail=str(error))
            return

    async def release(self) -> bool:
        """Make the idle worker let go of everything, at once. False: it cannot, or did not."""
        client = self._connect()
        if client is None or self._info is None:
            return False
        self._freed = None
        try:
            freed = await client.release()
        except ProbeFailed as error:
            _log.warning("probe_failed", worker=self._worker, call="release", detail=str(error))
            return False
        _log.debug("probe_released", worker=self._worker, seconds=freed.seconds)
        return True

    def peak_bytes(self) -> int:
        """Device footprint of the last prompt at its highest; 0: not measured.

        To be asked once the GPU was read after the trim: what the driver then sees beyond
        torch's own is the process's context.
        """
        if self._freed is None:
            return 0
        self._context = self._measure_context(self._freed)
        peak = max(self._freed.before.peak_reserved, self._freed.before.peak_allocated)
        return peak + self._context if peak else 0

    def _measure_context(self, freed: Freed) -> int:
        driver = self._services.book.seen_by_driver(self._worker)
        if driver is not None:
            return max(0, driver - freed.after.reserved)
        return freed.after.context if freed.after.context is not None else CONTEXT_BYTES
