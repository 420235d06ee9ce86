"""Scripts and small questions over one shared connection, as many at once as come.

redis-py takes a connection out of its pool, looks whether it is whole, sends, waits and puts it
back, about 150 µs of processor time for each command, four times what it takes here. What is asked
with every prompt and by every browser tab goes this way instead: commands of one turn of the event loop leave together, replies
come in their order. It answers or it breaks; whoever asks then asks through redis-py, which knows
what to do about a server that is away.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, UnixDomainSocketConnection

Word = str | bytes | int | float
#: its own types know commands of one word only
_pack: Callable[[tuple[Word, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]
#: after an answer that did not come in time: redis-py waits for the server then, once is enough
_REST_S: Final = 1.0
#: beyond these many replies under way a further question goes elsewhere: the server is stuck
_MOST_WAITING: Final = 10_000


class PipeBroken(Exception):
    """There was no answer, and nothing is known of what became of the question."""


class ErrorAnswered(PipeBroken):
    """The server answered with an error, such as that it does not know a script yet."""


class Pipe:
    """One connection, made when it is first needed and again after it broke.

    Args:
        parameters: of redis-py's connection: ``host`` and ``port``, or ``path``; ``username``,
            ``password``, ``db``.
        timeout_s: how long an answer may take.
    """

    def __init__(self, parameters: dict[str, Any], timeout_s: float) -> None:
        self._parameters = parameters
        self._timeout_s = timeout_s
        self._line: _Line | None = None
        #: the event loop's time before which it is not tried again
        self._rests_until = 0.0
        self._connecting = asyncio.Lock()

    @classmethod
    def beside(cls, client: Any, timeout_s: float) -> Self | None:
        """A pipe to where a client goes; None: over TLS, to clusters and past sentinels."""
        if not isinstance(client, Redis):
            return None
        pool = client.connection_pool
        if pool.connection_class not in (Connection, UnixDomainSocketConnection):
            return None
        return cls(pool.connection_kwargs, timeout_s)

    async def ask(self, words: Sequence[Word]) -> Any:
        """The reply to one command that may be repeated.

        Raises:
            PipeBroken: it has not come, or is an error.
        """
        (reply,) = await self.ask_all((words,))
        return reply

    async def ask_all(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """The replies to commands that may be repeated, which leave together.

        Raises:
            PipeBroken: one of them has not come, or is an error.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            raise PipeBroken("the server did not answer a moment ago")
        try:
            async with asyncio.timeout(self._timeout_s):
                line = self._line
                if line is None or line.broken:
                    line = await self._connected()
                if len(commands) == 1:
                    return [await line.ask(commands[0])]
                return await _all_of([line.ask(words) for words in commands])
        except TimeoutError as error:
            self.close()
            self._rests_until = loop.time() + _REST_S
            raise PipeBroken("no answer in time") from error
        except hiredis.ReplyError as error:
            raise ErrorAnswered(repr(error)) from error
        except (OSError, hiredis.HiredisError) as error:
            raise PipeBroken(repr(error)) from error

    def close(self) -> None:
        """Drop the connection; those who wait are told that it broke."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _connected(self) -> _Line:
        async with self._connecting:
            if self._line is None or self._line.broken:
                line = await self._connect()
                try:
                    await self._introduce(line)
                except BaseException:
                    line.close()
                    raise
                self._line = line
            return self._line

    async def _connect(self) -> _Line:
        loop, to = asyncio.get_running_loop(), self._parameters
        if "path" in to:
            _, line = await loop.create_unix_connection(_Line, to["path"])
        else:
            host, port = to.get("host", "localhost"), int(to.get("port", 6379))
            _, line = await loop.create_connection(_Line, host, port)
        return line

    async def _introduce(self, line: _Line) -> None:
        to = self._parameters
        if to.get("password") is not None:
            names = [to["username"]] if to.get("username") else []
            await line.ask(["AUTH", *names, to["password"]])
        if to.get("db"):
            await line.ask(["SELECT", int(to["db"])])


async def _all_of(replies: Sequence[asyncio.Future[Any]]) -> list[Any]:
    """All replies, or the first error; the others are heard out."""
    found = await asyncio.gather(*replies, return_exceptions=True)
    for reply in found:
        if isinstance(reply, BaseException):
            raise reply
    return found


class _Line(asyncio.Protocol):
    """An open connection; replies belong to questions in their order."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._leaving: list[bytes] = []
        self._transport: asyncio.Transport
        self.broken = False

    def ask(self, words: Sequence[Word]) -> asyncio.Future[Any]:
        """Of one reply: ConnectionError, or what the server says is wrong, may come of it.

        Raises:
            ConnectionError: it is not even asked.
        """
        if self.broken or len(self._waiting) >= _MOST_WAITING:
            raise ConnectionError("the connection is broken, or full")
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(reply)
        if not self._leaving:
            loop.call_soon(self._leave)
        self._leaving.append(_pack(tuple(words)))
        return reply

    def close(self) -> None:
        """Break it off."""
        self.broken = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of ``asyncio.Protocol``."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of ``asyncio.Protocol``."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._hand_out(reply)
        except hiredis.ProtocolError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of ``asyncio.Protocol``."""
        self.broken = True
        while self._waiting:
            self._hand_out(ConnectionError("the connection broke off"))

    def _leave(self) -> None:
        if not self.broken:
            self._transport.write(b"".join(self._leaving))
        self._leaving.clear()

    def _hand_out(self, reply: Any) -> None:
        waiting = self._waiting.popleft()
        if waiting.done():
            return  # who asked has gone
        if isinstance(reply, Exception):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)
