"""The real worker agent on a simulated host: no endpoint, no sockets, no threads, no ``/proc``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import cast

import aiohttp

from config.settings import Settings
from scheduler.ledger import Ledger
from simulator.chaos.host import HostMachine, VirtualSupervisor
from simulator.chaos.loop import Actor, VirtualLoop
from simulator.chaos.wire import Wire
from worker_agent.agent import Agent
from worker_agent.gpus import GpuBook
from worker_agent.heartbeat import Heartbeat
from worker_agent.host import HostBook


class _NoHostBook(HostBook):
    """A host whose memory is not measured: that of this machine is none of its business."""

    def sample(self, pids: Mapping[str, int | None], *, now: bool = False) -> None:
        """Read nothing."""


class VirtualAgent(Agent):
    """``Agent``, its services replaced where they would leave the process."""

    def __init__(
        self,
        actor: Actor,
        machine: HostMachine,
        ledger: Ledger,
        settings: Callable[[], Settings],
        loop: VirtualLoop,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        rng: Random,
    ) -> None:
        """Set up one life of the host's agent."""
        super().__init__(
            settings=settings,
            ledger=ledger,
            reader=machine.reader,
            specs=machine.specs,
            agent_id=machine.name,
            data_dir=Path("/nonexistent"),
            token="",
            version="chaos",
            clock=loop.time,
            wall=wall,
            new_id=new_id,
        )
        window = settings().admission.foreign_window
        self._book = GpuBook(machine.reader, self.id, window, loop.time, lambda pid: None)
        self._host = _NoHostBook(loop.time)
        self._supervisor = VirtualSupervisor(machine, loop, actor)
        self._wire = Wire(actor, machine.process_at, rng)
        self.url = f"http://{machine.name}"
        record = replace(self.heartbeat.record, url=self.url)
        self.heartbeat = Heartbeat(
            ledger, record, self._book, self._host, self._settings, loop.time
        )

    async def run(self) -> None:
        """Work until cancelled; then stop our workers, as the real one does."""
        self._build(cast(aiohttp.ClientSession, self._wire))
        try:
            await self._until_stopped()
        finally:
            await asyncio.shield(self._stop())
