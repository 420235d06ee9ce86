"""Blocking reads over connections of their own, past redis-py, as ``redis_pipe`` does it for the rest.

Each prompt wakes three processes that wait at the server, one after the other, and each event wakes
all gateways: what a read costs beyond its bytes comes between a click and the GPU that many times.
A blocking read holds its connection until it is answered, so that each waiter has one to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scheduler.redis_pipe import Pipe, PipeBroken, Word


class Waits:
    """Connections for those who wait, made as they are needed and kept for the next.

    Args:
        make: a new one; None: that is not possible (``Pipe.beside``).
    """

    def __init__(self, make: Callable[[], Pipe | None]) -> None:
        self._make = make
        self._free: list[Pipe] = []

    async def ask(self, words: Sequence[Word]) -> Any:
        """The reply to one blocking command, as the server gives it.

        Raises:
            PipeBroken: it has not come, or is an error.
        """
        pipe = self._free.pop() if self._free else self._make()
        if pipe is None:
            raise PipeBroken("there is no plain connection to this server")
        try:
            reply = await pipe.ask(words)
        except BaseException:
            # its reply may still come, and must not be taken for the next one's
            pipe.close()
            raise
        self._free.append(pipe)
        return reply

    def close(self) -> None:
        """Drop all that nobody waits at; who waits is cancelled by its own owner."""
        while self._free:
            self._free.pop().close()
