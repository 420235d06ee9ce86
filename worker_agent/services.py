"""What every part of an agent works with, built once by ``Agent``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
import structlog

from config.settings import Settings
from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.states import Lane
from worker_agent.comfy_client import ComfyClient
from worker_agent.gpus import GpuBook
from worker_agent.host import HostBook
from worker_agent.live import LiveHub
from worker_agent.recording import Recording

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

#: pauses between calls to a ledger that is away: doubled from first to last, seconds
_FIRST_PAUSE = 0.1
_LAST_PAUSE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Services and seams; times and ids come from here alone."""

    agent: str
    #: what is in force now
    current: Callable[[], Settings]
    ledger: Ledger
    hub: LiveHub
    book: GpuBook
    host: HostBook
    #: what probes record, on its way to the recorder
    recording: Recording
    session: aiohttp.ClientSession
    #: where files lie while they are passed on
    scratch: Path
    #: the cluster token; never logged
    token: str
    #: monotonic seconds
    clock: Callable[[], float]
    #: seconds since the epoch
    wall: Callable[[], float]
    #: a fresh lowercase uuid4
    new_id: Callable[[], str]
    #: bring ``book`` and ``host`` up to date now
    sample: Callable[[], Awaitable[None]]
    #: tell the ledger what ``book`` and workers look like now
    report: Callable[[], Awaitable[None]]
    #: something has happened: the ledger is told soon, without anybody waiting
    wake: Callable[[], None]
    #: another worker of this agent, None: not ours
    client_of: Callable[[str], ComfyClient | None]

    @property
    def settings(self) -> Settings:
        """What is in force now."""
        return self.current()

    def no_progress_s(self, lane: Lane) -> float:
        """How long a prompt of that lane may show no sign of life, seconds."""
        rules = self.settings.scheduler
        if lane is Lane.BATCH and rules.no_progress_batch is not None:
            return rules.no_progress_batch
        return rules.no_progress

    @property
    def lease_ms(self) -> int:
        """How long an attempt stays ours without a word, milliseconds."""
        return round(self.settings.scheduler.lease * 1000)


async def patiently(call: Callable[[], Awaitable[_T]], what: str) -> _T:
    """Call the ledger until it answers.

    Only for calls that may be repeated: after ``LedgerUnavailable`` nobody
    knows whether the last one was done.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except LedgerUnavailable as error:
            _log.warning("ledger_unavailable", call=what, detail=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LAST_PAUSE)
