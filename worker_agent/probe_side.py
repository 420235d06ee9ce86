"""The probe in one worker, as its agent sees it: what it measures and what it keeps to.

Everything here is a help. A worker without a probe, or one whose probe fails, runs its
prompts as ever; it is only *observed* then, and what it holds is what the driver says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from config.probe import Limit
from scheduler.probed import Probed
from scheduler.states import Job, MemoryLimit
from scheduler.told import told_bytes
from worker_agent.comfy_client import WorkerUnreachable
from worker_agent.gpus import CONTEXT_BYTES
from worker_agent.probe_client import Busy, Freed, Memory, ProbeClient, ProbeFailed, ProbeInfo
from worker_agent.probe_records import ProbeRecords
from worker_agent.services import Services

_log = structlog.get_logger(__name__)

#: A prompt that has told its end may still be on its last lines. The probe itself waits 0.5 s for
#: them; its record may come a moment later: tries, and the pause between, seconds.
_TRIES: Final = 5
_PAUSE: Final = 0.02
#: Before a probe that did not answer as one is asked again, seconds.
_AGAIN: Final = 10.0
#: Torch is left this much at least beside the context: less runs nothing (``probe/limit.py``).
_LEAST_TORCH: Final = 320 * 2**20


@dataclass(frozen=True, slots=True)
class _Told:
    """A limit: device footprint, what of it lies outside torch, what ComfyUI sees of the card."""

    bytes: int | None
    context: int
    shown: int | None


class ProbeSide:
    """One worker's probe."""

    def __init__(
        self,
        services: Services,
        worker: str,
        connect: Callable[[], ProbeClient | None],
        records: ProbeRecords,
    ) -> None:
        """Know nothing yet.

        Args:
            services: the agent's services.
            worker: its id.
            connect: a client of its probe at its present address; None: it can have none.
            records: takes what it records.
        """
        self.records = records
        self._services = services
        self._worker = worker
        self._connect = connect
        self._info: ProbeInfo | None = None
        #: when to attach again, and to which socket, after that failed
        self._again: tuple[float, str] | None = None
        self._mode = MemoryLimit.OBSERVED
        #: the limit in force; None: none was told in this life
        self._told: _Told | None = None
        #: what it held when it was last idle, as far as it told
        self._idle: Memory | None = None
        #: what giving back after the last prompt did
        self._freed: Freed | None = None
        #: bytes on the device beyond torch's; None: not measured yet
        self._context: int | None = None

    @property
    def client(self) -> ProbeClient | None:
        """What to ask it with; None: it is not there."""
        return self._connect() if self._info is not None else None

    @property
    def present(self) -> bool:
        """Whether the worker has a probe that answers."""
        return self._info is not None

    @property
    def limit(self) -> MemoryLimit:
        """What keeps the worker within its reservation."""
        return self._mode if self._on_device and self._wanted else MemoryLimit.OBSERVED

    @property
    def limit_bytes(self) -> int:
        """Device footprint that it is kept within now; 0: no limit."""
        if self._told is None or self.limit is MemoryLimit.OBSERVED:
            return 0
        return self._told.bytes or 0

    @property
    def context_bytes(self) -> int:
        """What its process holds on the device beside torch's memory, measured where possible."""
        return self._context if self._context is not None else CONTEXT_BYTES

    @property
    def idle(self) -> Memory | None:
        """What the worker held when it was last idle; None: nobody told."""
        return self._idle if self._on_device else None

    @property
    def _on_device(self) -> bool:
        return self._info is not None and self._info.device != "cpu"

    @property
    def _wanted(self) -> bool:
        return self._services.settings.probe.limit is Limit.AUTO

    # ── its life ─────────────────────────────────────────────────────────────

    async def attach(self, sid: str) -> None:
        """A socket was opened: ask what is at its other end, and have records sent there."""
        client = self._connect()
        if client is None:
            return
        self._again = None
        try:
            info = await client.info()
            if info is None:
                self.detach()
                return
            await client.subscribe(sid)
            self.records.begin(info.boot)
            await self.records.fetch(client)
            if self._info is None or self._info.boot != info.boot:
                await self._meet(client, info)
        except (ProbeFailed, WorkerUnreachable) as error:
            _log.warning("probe_failed", worker=self._worker, call="attach", detail=str(error))
            self.detach()
            self._again = (self._services.clock() + _AGAIN, sid)

    async def _meet(self, client: ProbeClient, info: ProbeInfo) -> None:
        """A process that we have not talked to before."""
        self.detach()
        if info.device != "cpu":
            try:
                # the first prompt would wait for it, and what it takes is part of the context
                await client.warm()
            except Busy:
                _log.debug("probe_not_warmed", worker=self._worker)
            self._idle = await client.memory()
            await self._services.sample()
            self._context = self._measure_context(self._idle)
        self._info, self._mode = info, info.limit
        _log.info("probe_found", worker=self._worker, limit=info.limit.value, missing=info.missing)

    def detach(self) -> None:
        """Its process is gone, or has no probe."""
        self._info = self._told = self._idle = self._freed = self._context = None
        self._mode = MemoryLimit.OBSERVED

    async def trim(self) -> None:
        """The worker is idle: what it holds unused goes back to the device."""
        client = self._connect()
        if client is None or not self._on_device:
            return
        try:
            self._idle = (await self._trim(client)).after
        except (ProbeFailed, WorkerUnreachable) as error:
            _log.warning("probe_failed", worker=self._worker, call="trim", detail=str(error))

    async def sync(self) -> None:
        """Get what the socket missed, where that is due; ask again what has failed."""
        if self._again is not None and self._services.clock() >= self._again[0]:
            await self.attach(self._again[1])
        client = self._connect()
        if client is None or self._info is None or not self.records.due:
            return
        try:
            await self.records.fetch(client)
        except (ProbeFailed, WorkerUnreachable) as error:
            _log.warning("probe_failed", worker=self._worker, call="records", detail=str(error))

    # ── around a prompt ──────────────────────────────────────────────────────

    async def before_prompt(self, job: Job, uuid: str) -> None:
        """Keep the worker's next prompts within what this job was promised.

        Args:
            job: with its reservation; 0: as it likes.
            uuid: the worker's name of its prompt.
        """
        self.records.follow(job, uuid)
        client = self._connect()
        if client is None or not self._on_device:
            return
        told = self._limit_for(job)
        if told == self._told or (told.bytes is None and self._told is None):
            return
        self._told = None
        try:
            self._mode = await client.limit(told.bytes, told.context, told.shown)
        except (ProbeFailed, WorkerUnreachable) as error:
            _log.warning("limit_not_set", worker=self._worker, detail=str(error))
            self._mode = MemoryLimit.OBSERVED
            return
        self._told = told

    def _limit_for(self, job: Job) -> _Told:
        context = self.context_bytes
        if not job.reserved_bytes or not self._wanted:
            return _Told(None, context, None)
        limit = max(job.reserved_bytes, context + _LEAST_TORCH)
        # one that ran out of memory with what it was shown beyond its limit is shown no more
        return _Told(limit, context, limit if job.ooms else max(limit, told_bytes(job)))

    async def after_prompt(self) -> None:
        """A prompt has ended: its unused memory goes back, and what it did is known."""
        self._freed = None
        client = self._connect()
        if client is None or self._info is None:
            return
        try:
            if self._on_device:
                self._freed = await self._trim(client)
            await self._until_told(client)
        except (ProbeFailed, WorkerUnreachable) as error:
            _log.warning("probe_failed", worker=self._worker, call="trim", detail=str(error))
        self._idle = self._freed.after if self._freed is not None else None

    async def _trim(self, client: ProbeClient) -> Freed:
        for _ in range(_TRIES):
            try:
                return await self._trim_once(client)
            except Busy:
                await asyncio.sleep(_PAUSE)
        return await self._trim_once(client)

    async def _trim_once(self, client: ProbeClient) -> Freed:
        after = self.records.seen
        freed = await client.trim(after)
        if freed.told is not None:
            await self.records.receive(after, freed.told)
        return freed

    async def _until_told(self, client: ProbeClient) -> None:
        for _ in range(_TRIES):
            if self.records.tally.ended:
                return
            await self.records.fetch(client)
            if self.records.tally.ended:
                return
            await asyncio.sleep(_PAUSE)

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
        self._idle = freed.after
        return True

    # ── what it measured ─────────────────────────────────────────────────────

    def peak_bytes(self) -> int:
        """Device footprint of the last prompt at its highest; 0: not measured.

        To be asked once the GPU was read after the trim: what the driver then sees beyond
        torch's own is the process's context.
        """
        freed = self._freed
        if freed is None:
            return 0
        self._context = self._measure_context(freed.after)
        peak = max(freed.before.peak_reserved, freed.before.peak_allocated)
        return peak + self._context if peak else 0

    def probed(self) -> Probed | None:
        """What it saw of the last prompt, after ``peak_bytes``; None: it did not tell."""
        freed, tally = self._freed, self.records.tally
        if freed is None:
            return None
        context = self.context_bytes
        peak = freed.before.peak_allocated
        return Probed(
            needed_bytes=peak + context if peak else 0,
            limit_bytes=self.limit_bytes,
            left_bytes=freed.after.reserved + context,
            loads=tally.loads,
            load_seconds=tally.load_seconds,
            fallback=tally.fallback,
            partial=tally.partial,
        )

    def _measure_context(self, memory: Memory) -> int:
        driver = self._services.book.seen_by_driver(self._worker)
        if driver is not None:
            return max(0, driver - memory.reserved)
        return memory.context if memory.context is not None else CONTEXT_BYTES
