"""Host memory, the second resource: one per agent's machine (pure).

What may still be promised is what the machine has available, less a safety, less
what running jobs were promised and their workers have not taken yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from scheduler.placement import Seat
from scheduler.states import Agent, Job

#: Share of a machine's memory that is never promised, and the least such amount.
_SAFETY_SHARE: Final = 0.05
_SAFETY_MIN_BYTES: Final = 1 << 30
#: What a ComfyUI process holds with no model: Python, torch and CUDA's host side (an assumption).
_PROCESS_BYTES: Final = 2 << 30
#: A release that gives back less is not worth its time.
_WORTH_BYTES: Final = 256 << 20


class Hosts:
    """Free memory of each machine in a plan's picture; machines that tell nothing always fit."""

    def __init__(self, agents: Iterable[Agent], floors: Mapping[str, int] | None = None) -> None:
        """Picture them.

        Args:
            agents: with what they last told.
            floors: host bytes that a worker still held after its last release.
        """
        self._floors = floors or {}
        #: machines on which jobs run, or idle workers hold what they could give back
        self._busy: set[str] = set()
        self._free = {
            agent.id: agent.host_available_bytes
            - max(_SAFETY_MIN_BYTES, int(_SAFETY_SHARE * agent.host_total_bytes))
            for agent in agents
            if agent.host_total_bytes
        }

    @property
    def known(self) -> bool:
        """Whether any machine tells its memory."""
        return bool(self._free)

    def run(self, job: Job, seat: Seat) -> None:
        """Count what a running or just admitted job will still take."""
        agent = seat.worker.agent
        if agent in self._free:
            self._free[agent] -= self._growth(job, seat)
            self._busy.add(agent)

    def rests(self, seat: Seat) -> None:
        """Count an idle worker: what it could give back is worth waiting for."""
        if self.releasable_bytes(seat):
            self._busy.add(seat.worker.agent)

    def fits(self, job: Job, seat: Seat) -> bool:
        """Whether the worker's machine has room for what the job adds to it.

        Where nothing else runs and nothing could be given back it always has: no estimate
        may keep a job waiting for ever.
        """
        return self.missing(job, seat) == 0

    def missing(self, job: Job, seat: Seat) -> int:
        """Bytes by which it does not fit; 0 when it does."""
        agent = seat.worker.agent
        free = self._free.get(agent)
        if free is None or agent not in self._busy:
            return 0
        return max(0, self._growth(job, seat) - max(0, free))

    def releasable_bytes(self, seat: Seat) -> int:
        """What an idle worker would give back of its machine's memory; 0: not worth asking."""
        worker = seat.worker
        floor = max(_PROCESS_BYTES, self._floors.get(worker.id, 0))
        spare = worker.host_used_bytes - floor
        return spare if spare > _WORTH_BYTES else 0

    @staticmethod
    def _growth(job: Job, seat: Seat) -> int:
        return max(0, job.host_bytes - seat.worker.host_used_bytes)
