"""What the agent asks of the process: limits, releases, figures. Put together from its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from .card import Card
from .limit import Limit, Limiter
from .memory import Memory
from .release import Releaser
from .turn import Busy, Turn
from .warm import warm


class Control:
    """The acting half of the probe.

    Attributes:
        limiter: the limit in force.
        memory: the figures.
        turn: the thread that runs prompts.
    """

    def __init__(
        self,
        card: Card,
        limiter: Limiter,
        memory: Memory,
        releaser: Releaser,
        turn: Turn,
        torch: Any,
    ) -> None:
        """``torch`` is the module."""
        self.card = card
        self.limiter = limiter
        self.memory = memory
        self.turn = turn
        self._releaser = releaser
        self._torch = torch

    async def limit(self, limit: Limit) -> dict[str, Any]:
        """Let a limit come into force; while a prompt runs, before the next one.

        Without a prompt the answer comes once it holds: what is above it was given back.

        Raises:
            Busy: a prompt runs that holds more than the limit allows.
        """
        try:
            await self.turn.do(lambda: self._apply(limit))
        except Busy:
            most = limit.torch_bytes
            if most is not None and self.card.allocated() > most:
                raise
            self.turn.before_next(lambda: self._apply(limit))
        return {
            "limit": limit.size,
            "told": limit.told,
            "torch_bytes": limit.torch_bytes,
            "mode": self.limiter.mode(),
        }

    async def release(self, keep: Collection[str], size: int | None) -> dict[str, Any]:
        """Give memory back: all of it, or models not in ``keep`` until ``size`` bytes are.

        Raises:
            Busy: a prompt runs.
        """
        if not keep and size is None:
            return await self._measured(self._releaser.everything)
        return await self._measured(lambda: self._releaser.some(keep, size))

    async def trim(self) -> dict[str, Any]:
        """Give back what torch holds and no tensor needs.

        Raises:
            Busy: a prompt runs.
        """
        return await self._measured(self._trim)

    async def warm(self) -> dict[str, Any]:
        """Run small kernels of the kinds that prompts use.

        Raises:
            Busy: a prompt runs.
        """
        began = time.perf_counter()
        await self.turn.do(self._warm)
        return {"seconds": round(time.perf_counter() - began, 6)}

    def _apply(self, limit: Limit) -> None:
        self.limiter.apply(limit)
        most = limit.torch_bytes
        if most is not None and self.card.told:
            self._releaser.below(most)

    def _trim(self) -> list[str]:
        self.card.trim()
        return []

    def _warm(self) -> None:
        if self.card.kind != "cpu":
            warm(self._torch, self.card.device, self._torch.float16)
            self.card.trim()

    async def _measured(self, work: Callable[[], list[str]]) -> dict[str, Any]:
        began = time.perf_counter()
        before = self.memory.figures()
        unloaded = await self.turn.do(work)
        return {
            "before": before,
            "after": self.memory.figures(),
            "seconds": round(time.perf_counter() - began, 6),
            "unloaded": unloaded,
        }
