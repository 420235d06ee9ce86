"""A process's connection to the ledger: slow, lossy, and sometimes saying things twice.

Whatever is lost, its caller hears ``LedgerUnavailable`` and knows nothing of the call: the
request may never have arrived, or the reply may have been lost. A call that is said twice
has one name, as a client has it that tries again: between the two others may be served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final, cast

from scheduler.ledger import Ledger, LedgerUnavailable
from simulator.chaos.loop import Actor, VirtualLoop
from simulator.chaos.server import BLOCKING, READING, Server

#: calls after which much is different: the worst moments to be late
_DECISIVE: Final = frozenset({"admit", "preempt", "release", "reap", "claim", "settle", "submit"})
#: one way, seconds
_DELAY_S: Final = (0.0002, 0.003)
#: how long a caller waits for a reply that does not come, seconds (``redis_connection``)
_PATIENCE_S: Final = 2.0
#: between the two of a call that is said twice, at most, seconds
_AGAIN_S: Final = 1.5


@dataclass(slots=True)
class Weather:
    """How bad the network is: chances for each call."""

    lost: float = 0.0
    reply_lost: float = 0.0
    doubled: float = 0.0
    slow: float = 0.0


class Line:
    """One process's connection. ``ledger`` is it in the shape of a ``Ledger``."""

    def __init__(
        self, loop: VirtualLoop, server: Server, actor: Actor, weather: Weather, rng: Random
    ) -> None:
        self._loop = loop
        self._server = server
        self._actor = actor
        self._weather = weather
        self._rng = rng
        self._calls = 0
        #: True: nothing gets through in either direction
        self.cut = False
        #: happens once, when the next call that decides something is about to be sent
        self.ambush: Callable[[], None] | None = None

    @property
    def ledger(self) -> Ledger:
        """The whole protocol over this connection."""
        return cast(Ledger, _Remote(self))

    async def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One call, with whatever the network does to it.

        Raises:
            LedgerUnavailable: no reply came; the call may have been served all the same.
        """
        if self._actor.severed:
            raise LedgerUnavailable("this process is dead")
        if self.ambush is not None and name in _DECISIVE:
            strike, self.ambush = self.ambush, None
            strike()
            await asyncio.sleep(0)
        self._calls += 1
        if self.cut or self._rng.random() < self._weather.lost:
            await asyncio.sleep(self._rng.uniform(0.05, _PATIENCE_S))
            raise LedgerUnavailable("the request was lost")
        reply: asyncio.Future[Any] = self._loop.create_future()
        if name in BLOCKING:
            return await self._blocking(name, args, kwargs, reply)
        call = f"{self._actor.name}/{self._calls}"
        serve = partial(self._serve, call, name, args, kwargs, reply)
        twice = name not in READING and self._rng.random() < self._weather.doubled
        delay = self._delay()
        if twice:
            first = partial(self._serve, call, name, args, kwargs, None)
            self._later(delay, first)
            delay += self._rng.uniform(0.0, _AGAIN_S)
        self._later(delay, serve)
        return await reply

    async def _blocking(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        reply: asyncio.Future[Any],
    ) -> Any:
        await asyncio.sleep(self._delay())
        task = self._server.serve_blocking(name, args, kwargs)
        task.add_done_callback(partial(self._deliver, reply), context=self._loop.nobody.copy())
        try:
            return await reply
        except asyncio.CancelledError:
            task.cancel()
            raise

    def _deliver(self, reply: asyncio.Future[Any], task: asyncio.Task[Any]) -> None:
        error = LedgerUnavailable("the server went down") if task.cancelled() else task.exception()
        if error is None and (self.cut or self._rng.random() < self._weather.reply_lost):
            error = LedgerUnavailable("the reply was lost")
        self._later(self._delay(), partial(_resolve, reply, error, task))

    def _serve(
        self,
        call: str,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        reply: asyncio.Future[Any] | None,
    ) -> None:
        try:
            answer = self._server.serve(call, name, args, kwargs)
            error: LedgerUnavailable | None = None
        except LedgerUnavailable as away:
            answer, error = None, away
        if reply is None:
            return
        delay = self._delay()
        if error is None and (self.cut or self._rng.random() < self._weather.reply_lost):
            error = LedgerUnavailable("the reply was lost")
            delay = _PATIENCE_S
        self._later(delay, partial(_answer, reply, error, answer))

    def _delay(self) -> float:
        if self._rng.random() < self._weather.slow:
            return self._rng.uniform(0.05, 1.5)
        return self._rng.uniform(*_DELAY_S)

    def _later(self, delay: float, what: Any) -> None:
        # by nobody: a frozen process does not stop the network
        self._loop.call_later(delay, what, context=self._loop.nobody.copy())


class _Remote:
    """Any method of the protocol, called over a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def __getattr__(self, name: str) -> Any:
        async def remote(*args: Any, **kwargs: Any) -> Any:
            return await self._line.call(name, args, kwargs)

        return remote


def _answer(reply: asyncio.Future[Any], error: Exception | None, answer: Any) -> None:
    if reply.done():
        return
    if error is not None:
        reply.set_exception(error)
    else:
        reply.set_result(answer)


def _resolve(
    reply: asyncio.Future[Any], error: BaseException | None, task: asyncio.Task[Any]
) -> None:
    _answer(reply, cast(Exception | None, error), None if error else task.result())
