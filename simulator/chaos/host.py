"""A GPU host of the simulated world: its cards, and worker processes that outlive its agent."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from simulator.chaos.card import Card, CardFull, Reader
from simulator.chaos.comfy import ComfyProcess, Witness
from simulator.chaos.loop import Actor, VirtualLoop
from worker_agent.launch import LaunchSpec
from worker_agent.supervisor import Noted, Process, Supervisor

#: no system hands out such pids, so that nobody's real process is meant
_FIRST_PID: Final = 2**23
_START_S: Final = (1.5, 6.0)


class HostMachine:
    """One host. ``workers``: how many processes each card gets."""

    def __init__(
        self, name: str, cards: Sequence[Card], workers: int, witness: Witness, rng: Random
    ) -> None:
        self.name = name
        self.cards = list(cards)
        self.reader = Reader(self.cards)
        self._witness = witness
        self._rng = rng
        self._next_pid = _FIRST_PID
        self.specs: list[LaunchSpec] = []
        self._homes: dict[str, Card] = {}
        #: worker → its process, dead ones included
        self.processes: dict[str, ComfyProcess] = {}
        for card in self.cards:
            for _ in range(workers):
                self._add_worker(card)

    def _add_worker(self, card: Card) -> None:
        worker = f"{self.name}-{len(self.specs)}"
        self._homes[worker] = card
        self.specs.append(
            LaunchSpec(
                id=worker,
                command=(),
                env={},
                url=f"http://{worker}",
                gpu_uuid=card.uuid,
                log_path=Path(os.devnull),
            )
        )

    def process_at(self, host: str) -> ComfyProcess | None:
        """Who listens at that host name."""
        return self.processes.get(host)

    def spawn(self, loop: VirtualLoop, worker: str) -> ComfyProcess:
        """Start a worker's process.

        Raises:
            OSError: its card has no room for the context.
        """
        self._next_pid += 1
        up_at = loop.time() + self._rng.uniform(*_START_S)
        try:
            process = ComfyProcess(
                loop, self._next_pid, self._homes[worker], self._witness, up_at, lambda: None
            )
        except CardFull as error:
            raise OSError("no room for a context") from error
        self.processes[worker] = process
        return process


class VirtualProcess(Process):
    """``Process`` over the host's processes; as its agent's code sees them."""

    def __init__(
        self, spec: LaunchSpec, machine: HostMachine, loop: VirtualLoop, actor: Actor
    ) -> None:
        super().__init__(spec, lambda: None)
        self._machine = machine
        self._loop = loop
        self._actor = actor
        self._life: ComfyProcess | None = None

    def take_over(self) -> None:
        """Adopt what an earlier agent left, if it still lives."""
        life = self._machine.processes.get(self.spec.id)
        if life is not None and life.alive:
            self._life = life
            self.noted = Noted(life.pid, 0, self.spec.url)
            self.adopted = True

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._life is not None and self._life.alive

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: its card has no room for it.
        """
        if self._actor.severed:
            return
        self._life = self._machine.spawn(self._loop, self.spec.id)
        self.adopted = False
        self.noted = Noted(self._life.pid, 0, self.spec.url)

    async def _gone(self) -> None:
        if self._life is not None:
            await self._life.ended.wait()

    def _signal(self, number: signal.Signals) -> None:
        life = self._life
        if life is None or self._actor.severed:
            return
        if number is signal.SIGKILL or not life.frozen:
            life.kill()


class VirtualSupervisor(Supervisor):
    """``Supervisor`` without a registry: the host itself knows what runs."""

    def __init__(self, machine: HostMachine, loop: VirtualLoop, actor: Actor) -> None:
        super().__init__((), Path(os.devnull))  # nothing is noted
        self._mine = {spec.id: VirtualProcess(spec, machine, loop, actor) for spec in machine.specs}
        self._actor = actor
        self._processes = dict(self._mine)

    async def take_over(self) -> None:
        """Adopt what an earlier agent left."""
        for process in self._mine.values():
            process.take_over()

    async def stop(self, grace_s: float = 10.0) -> None:
        """Stop all processes, unless we are dead ourselves."""
        if not self._actor.severed:
            await super().stop(grace_s)

    def _note(self) -> None:
        """Nothing is written."""
