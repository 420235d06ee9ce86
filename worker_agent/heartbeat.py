"""Reads the GPUs and tells the ledger: often while something happens, seldom at rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from config.settings import Settings
from scheduler.fleet import PROTOCOL
from scheduler.ledger import Ledger, LedgerUnavailable, Report
from scheduler.ledger_values import Reported
from scheduler.states import Agent as AgentRecord
from scheduler.states import Worker, WorkerState
from worker_agent.changes import differs
from worker_agent.gpus import GpuBook, Tenant
from worker_agent.host import HostBook
from worker_agent.pace import Pace

_log = structlog.get_logger(__name__)

#: an unchanged report is repeated this often, seconds
REPORT: Final = 1.0
#: memory that our own workers take or give back is told no more often than this, seconds
_MOVES: Final = 0.25
#: cards that were read so long ago are not read again, seconds: an end of a process, which wakes
#: us, is seen so much later at most
_FRESH: Final = 0.1


class AgentReplaced(Exception):
    """A younger agent runs under our name: give one of the two another ``agent.id``."""


class Heartbeat:
    """One per agent."""

    def __init__(
        self,
        ledger: Ledger,
        record: AgentRecord,
        book: GpuBook,
        host: HostBook,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        """Report as ``record``.

        Args:
            ledger: is told.
            record: the agent; its host's memory is filled in each time.
            book: what the GPUs hold.
            host: what this machine holds.
            settings: its agent's section.
            clock: monotonic seconds.
        """
        self.record = record
        #: what the ledger was told last
        self.reported: Report | None = None
        #: a younger agent has our name: nothing of ours counts any more
        self.replaced = False
        self.workers: Callable[[], list[Worker]] = list
        self.tenants: Callable[[], Sequence[Tenant]] = list
        #: whether a worker here has a job
        self.busy: Callable[[], bool] = lambda: False
        #: whether one loads models, or nothing but readings tells what it takes
        self.watched: Callable[[], bool] = lambda: False
        self._ledger = ledger
        self._book = book
        self._host = host
        self._settings = settings.agent
        self._clock = clock
        self._pace = Pace()
        self._reported_at = 0.0
        #: when the latest reading began
        self._read_at = float("-inf")
        self._sampling = asyncio.Lock()
        self._woken = asyncio.Event()
        self._rivals: Mapping[str, str] = {}
        #: why the scheduler does not take us, "" where it does
        self._refusal = ""

    async def run(self) -> None:
        """Read and report until cancelled.

        Raises:
            AgentReplaced: another agent runs under this name.
        """
        while not self.replaced:
            # whoever woke us may have read the cards himself, or so many at once that once does
            fresh_s = min(_FRESH, self._settings.sample)
            fresh = self._clock() - self._read_at < fresh_s
            if not fresh:
                await self.sample()
            report = self._look()
            if self._is_news(report):
                await self._tell(report)
            await self._rest(fresh_s if fresh else self._pause_s())
        raise AgentReplaced(
            f"another agent called {self.record.id} has been started: each host has one agent; "
            "for two give one of them another agent.id"
        )

    def wake(self) -> None:
        """Something has happened: look now."""
        self._woken.set()

    async def report(self) -> None:
        """Tell the ledger what is seen now."""
        await self._tell(self._look())

    async def _tell(self, report: Report) -> None:
        try:
            reply = await self._ledger.report(report)
        except LedgerUnavailable as error:
            _log.warning("ledger_unavailable", call="report", detail=str(error))
            return
        self.reported, self._reported_at = report, self._clock()
        self._heed(reply)

    async def goodbye(self) -> None:
        """Tell the scheduler at once that nothing here takes jobs any more."""
        report = self._look()
        down = [replace(worker, state=WorkerState.DOWN) for worker in report.workers]
        try:
            await self._ledger.report(Report(agent=report.agent, workers=down, gpus=report.gpus))
        except LedgerUnavailable as error:
            _log.warning("ledger_unavailable", call="report", detail=str(error))

    async def sample(self, *, now: bool = False) -> None:
        """Read GPUs, and with them the host's memory, which changes less quickly."""
        async with self._sampling:
            tenants = self.tenants()
            self._read_at = self._clock()
            await asyncio.to_thread(self._book.sample, tenants)
            if self._settings.simulate is not None:
                return  # simulated workers hold no weights: this machine's memory says nothing
            pids = {tenant.worker: tenant.pid for tenant in tenants}
            if now or self._host.is_due():
                await asyncio.to_thread(self._host.sample, pids, now=now)

    # ── inside ───────────────────────────────────────────────────────────────

    def _pause_s(self) -> float:
        return self._pace.next(
            self._book.gpus,
            watched=self.watched(),
            busy=self.busy(),
            fastest_s=self._settings.sample,
            slowest_s=max(self._settings.sample, self._settings.sample_rest),
        )

    async def _rest(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()

    def _is_news(self, report: Report) -> bool:
        since = self._clock() - self._reported_at
        if since >= REPORT or self.reported is None:
            return True
        return differs(self.reported, report, moved=since >= _MOVES)

    def _look(self) -> Report:
        memory = self._host.reading
        workers = self.workers()
        if self._refusal:
            workers = [
                replace(worker, state=WorkerState.DOWN, detail=self._refusal) for worker in workers
            ]
        return Report(
            agent=replace(
                self.record,
                host_total_bytes=memory.total_bytes,
                host_available_bytes=memory.available_bytes,
            ),
            workers=workers,
            gpus=self._book.gpus,
        )

    def _heed(self, reply: Reported) -> None:
        self.replaced = reply.replaced
        for gpu, other in reply.rivals.items():
            if gpu not in self._rivals:
                _log.error("gpu_claimed_twice", gpu=gpu, other_agent=other, hint="stop one of them")
        for gpu in self._rivals.keys() - reply.rivals.keys():
            _log.info("gpu_ours_alone", gpu=gpu)
        self._rivals = reply.rivals
        refusal = "" if reply.protocol in (0, PROTOCOL) else _refusal(reply.protocol)
        if refusal != self._refusal:
            self._refusal = refusal
            _log.error("agent_refused", detail=refusal) if refusal else _log.info("agent_accepted")


def _refusal(spoken: int) -> str:
    older = "this host" if spoken > PROTOCOL else "the scheduler's host"
    return (
        f"this agent speaks protocol {PROTOCOL}, the scheduler {spoken}: update vramgate on {older}"
    )
