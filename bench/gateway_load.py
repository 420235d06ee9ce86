"""The load of ``bench.gateway``: a process of its own with sockets of its own, lean and equal to all.

An HTTP library costs more than what is measured. Here one request's bytes are sent as they are
and an answer is counted by its ``Content-Length``; nothing is decoded. One command a line on
standard input, one answer a line on standard output (``Loader`` is the other end).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Self, TypeVar

#: bytes read at once: a whole answer of 1 MB may come in one piece
_BUFFER_BYTES: Final = 2**20
#: seconds that a connection may be silent
_PATIENCE_S: Final = 30.0
_LINE_BYTES: Final = 2**24
P = TypeVar("P", bound=asyncio.BaseProtocol)
#: of the prompt whose previews are sent around
LAST_NODE: Final = "9"


class LoadError(Exception):
    """The load could not be made as asked; the message says what came instead."""


def request(
    path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> str:
    """A GET, or with a body a POST of JSON, as it goes over the wire (HTTP/1.1, kept open)."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]) + (body or b"").decode()


class Loader:
    """The load process as the bench sees it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> Self:
        """Start the process."""
        command = (sys.executable, "-m", "bench.gateway_load")
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES
            )
        )

    async def rate(
        self, port: int, raw: str, *, seconds: float, connections: int = 8, most: int = 0
    ) -> dict[str, Any]:
        """Send one request again and again on each connection.

        Args:
            port: on 127.0.0.1.
            raw: from ``request``.
            seconds: how long.
            connections: that never rest.
            most: stop after so many requests; 0: only ``seconds`` counts.

        Returns:
            ``per_s``, ``p50_ms``, ``p99_ms``, ``count``, and ``statuses`` by number.

        Raises:
            LoadError: an answer was no HTTP answer with a length.
        """
        asked = {"port": port, "raw": raw, "seconds": seconds, "most": most}
        return await self._ask("rate", asked | {"connections": connections})

    async def listen(self, port: int, raw: str, sockets: int) -> None:
        """Open so many WebSockets and begin to note when their frames come."""
        await self._ask("listen", {"port": port, "raw": raw, "sockets": sockets})

    async def heard(self) -> dict[str, Any]:
        """Wait until each has heard that ``LAST_NODE`` is done; what they have heard since.

        Returns:
            ``sockets``, ``frames`` (binary ones, sent to each), ``delivered_share``,
            ``per_s`` (binary frames delivered), and ``p50_ms``, ``p99_ms``: from the first
            socket that has a frame to the last.
        """
        return await self._ask("heard", {})

    async def hang_up(self) -> None:
        """Close those sockets."""
        await self._ask("hang_up", {})

    async def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _ask(self, what: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"what": what, **fields}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await stdout.readline())
        if "error" in answer:
            raise LoadError(answer["error"])
        return answer


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    if not seconds:
        return {"p50_ms": 0.0, "p99_ms": 0.0}
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50_ms": round(statistics.median(ordered) * 1e3, 3), "p99_ms": round(p99 * 1e3, 3)}


# ── inside the process ───────────────────────────────────────────────────────


class _Getter(asyncio.BufferedProtocol):
    """One connection that asks the same again and again."""

    #: connections take turns in one thread, so that one buffer is enough for all
    _buffer = memoryview(bytearray(_BUFFER_BYTES))

    def __init__(self, raw: bytes, until: float, left: list[int]) -> None:
        self._raw = raw
        self._until = until
        self._left = left
        self._head = b""
        self._body_left = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport
        self.took: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._body_left:
            self._body_left -= nbytes
        else:
            self._head += self._buffer[:nbytes]
            top, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            try:
                self._body_left = self._length(top) - len(rest)
            except ValueError:
                self._end(LoadError(f"no answer with a length: {top[:200]!r}"))
                return
        if self._body_left == 0:
            self.took.append(time.perf_counter() - self._sent_at)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LoadError("the server closed a connection that was to be kept"))

    def _length(self, top: bytes) -> int:
        status, *lines = top.split(b"\r\n")
        code = status.split(b" ")[1]
        self.statuses[code.decode()] += 1
        if code in (b"204", b"304"):
            return 0
        named = dict(line.lower().split(b": ", 1) for line in lines)
        return int(named.get(b"content-length", b""))

    def _next(self) -> None:
        now = time.perf_counter()
        if now >= self._until or self._left[0] == 0:
            self._end(None)
            return
        self._left[0] -= 1
        self._sent_at = now
        self._transport.write(self._raw)

    def _end(self, error: LoadError | None) -> None:
        if not self.ended.done():
            if error is None:
                self.ended.set_result(None)
            else:
                self.ended.set_exception(error)
            self._transport.close()


class _Listener(asyncio.Protocol):
    """One WebSocket, from its handshake on: when frames came, and whether a prompt has ended."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._bytes = bytearray()
        self._open = False
        self._transport: asyncio.Transport
        self.binary: list[float] = []
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[float] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._raw)

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        if not self._open:
            top, end, rest = bytes(self._bytes).partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in top.split(b"\r\n")[0]:
                self.ready.set_exception(LoadError(f"no WebSocket: {top[:200]!r}"))
                return
            self._open, self._bytes = True, bytearray(rest)
        self._frames()

    def renew(self) -> None:
        """Forget what was heard so far."""
        self.binary = []
        self.ended = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        self._transport.abort()

    def _frames(self) -> None:
        """Take whole frames off the front; servers send them unmasked."""
        data, at = self._bytes, 0
        while len(data) >= at + 2:
            size, head = data[at + 1] & 127, 2
            if size >= 126:
                head = 4 if size == 126 else 10
                if len(data) < at + head:
                    break
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if len(data) < at + head + size:
                break
            self._frame(data[at] & 15, data[at + head : at + head + size])
            at += head + size
        del data[:at]

    def _frame(self, opcode: int, payload: bytearray) -> None:
        if opcode == 2:
            self.binary.append(time.perf_counter())
        elif opcode == 1:
            if not self.ready.done():
                self.ready.set_result(None)
            if not self.ended.done() and _ends(json.loads(payload)):
                self.ended.set_result(time.perf_counter())


def _ends(message: Mapping[str, Any]) -> bool:
    """Whether the sampling prompt's last node is done: this frame goes to everybody."""
    if message["type"] != "progress_state":
        return False
    return bool(message["data"]["nodes"].get(LAST_NODE, {}).get("state") == "finished")


def _itself(protocol: P) -> P:
    return protocol


class _Server:
    """Does what the lines say."""

    def __init__(self) -> None:
        self._listeners: list[_Listener] = []

    async def do(self, line: bytes) -> dict[str, Any]:
        asked = json.loads(line)
        what = asked.pop("what")
        try:
            async with asyncio.timeout(_PATIENCE_S + asked.get("seconds", 0)):
                if what == "rate":
                    return await self._rate(**asked)
                if what == "listen":
                    return await self._listen(**asked)
                return await self._heard() if what == "heard" else self._hang_up()
        except (LoadError, OSError, TimeoutError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    async def _rate(
        self, port: int, raw: str, seconds: float, connections: int, most: int
    ) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        begin = time.perf_counter()
        left, until = [most or -1], begin + seconds
        getters = [_Getter(raw.encode(), until, left) for _ in range(connections)]
        await asyncio.gather(
            *(loop.create_connection(partial(_itself, one), "127.0.0.1", port) for one in getters)
        )
        await asyncio.gather(*(one.ended for one in getters))
        took = [each for one in getters for each in one.took]
        statuses = sum((one.statuses for one in getters), Counter[str]())
        rate = len(took) / (time.perf_counter() - begin)
        return {"per_s": round(rate, 1), **spread(took), "count": len(took), "statuses": statuses}

    async def _listen(self, port: int, raw: str, sockets: int) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for _ in range(sockets):
            key = base64.b64encode(os.urandom(16)).decode()
            one = _Listener(raw.replace("$KEY", key).encode())
            self._listeners.append(one)
            await loop.create_connection(partial(_itself, one), "127.0.0.1", port)
            await one.ready
        return {}

    async def _heard(self) -> dict[str, Any]:
        listeners = self._listeners
        ends = await asyncio.gather(*(one.ended for one in listeners))
        counts = [len(one.binary) for one in listeners]
        sent, delivered = max(counts), sum(counts)
        whole = [one.binary for one in listeners if len(one.binary) == sent]
        lags = [max(times) - min(times) for times in zip(*whole, strict=True)]
        first = min((one.binary[0] for one in listeners if one.binary), default=max(ends))
        for one in listeners:
            one.renew()
        share = delivered / (sent * len(listeners)) if sent else 0.0
        rate = delivered / max(max(ends) - first, 1e-6)
        return {
            "sockets": len(listeners),
            "frames": sent,
            "delivered_share": round(share, 4),
            "per_s": round(rate),
            **spread(lags),
        }

    def _hang_up(self) -> dict[str, Any]:
        for one in self._listeners:
            one.close()
        self._listeners.clear()
        return {}


async def _serve() -> None:
    loop, server = asyncio.get_running_loop(), _Server()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        answer = await server.do(line)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve())
