"""What one client's socket is still owed: bounded, in order, and honest about dropping.

A client that keeps up gets every frame. One that falls behind loses older
previews and progress, of which only the newest says anything; frames that tell
of a job's life are never dropped. Beyond ``limit_bytes`` the socket is given up:
its client connects again and reads ``/history``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import WSMsgType

from gateway.deflate import LEAST_BYTES, deflate, wire_frame

#: a socket this far behind is closed. Source: 30 previews of 1 MiB, half a
#: minute of a batch that nobody reads.
LIMIT_BYTES: Final = 32 * 2**20
#: frames waiting before newer previews and progress replace older ones: a burst within
#: one turn of a busy event loop is not yet a slow client (a short prompt of 20 steps makes 60)
_PATIENCE: Final = 64
#: the same in bytes, for frames that are large: a few previews
_PATIENCE_BYTES: Final = 2**20
#: longer texts are deflated in a thread: 64 KiB take about a millisecond
_PACKED_ASIDE_BYTES: Final = 2**16


@dataclass(slots=True)
class Frame:
    """One WebSocket message, ready to send; sockets share it."""

    body: bytes
    binary: bool = False
    #: a later frame of the same key makes this one worthless; None: never dropped
    key: Hashable | None = None
    _packed: bytes | None = field(default=None, init=False, repr=False)
    _wire: dict[bool, bytes] = field(default_factory=dict, init=False, repr=False)

    def wire(self, *, deflates: bool) -> bytes | None:
        """All of the frame as it travels, made once for all sockets; None: not deflated yet.

        Args:
            deflates: whether the client takes deflated frames.
        """
        packed = deflates and not self.binary and len(self.body) >= LEAST_BYTES
        if packed and self._packed is None:
            return None
        packed = packed and bool(self._packed)
        found = self._wire.get(packed)
        if found is None:
            kind = WSMsgType.BINARY if self.binary else WSMsgType.TEXT
            payload = self._packed if packed and self._packed else self.body
            found = self._wire[packed] = wire_frame(payload, kind, deflated=packed)
        return found

    async def packed(self) -> bytes:
        """The body deflated, once for all sockets; empty: it does not get shorter."""
        if self._packed is None:
            if len(self.body) > _PACKED_ASIDE_BYTES:
                packed = await asyncio.to_thread(deflate, self.body)
            else:
                packed = deflate(self.body)
            self._packed = packed if len(packed) < len(self.body) else b""
        return self._packed


class Transport(Protocol):
    """The part of ``gateway.deflate.DeflatingResponse`` that frames leave through."""

    @property
    def deflates(self) -> bool:
        """Whether the client takes deflated frames."""
        ...

    def send_at_once(self, wire: bytes) -> bool:
        """Hand a whole frame to the connection; False: closed, or much waits there already."""
        ...

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        """Send one message; returns when the socket's buffer has room again."""
        ...

    async def send_deflated(self, packed: bytes) -> None:
        """The same for a deflated text."""
        ...


class Outbox:
    """The queue of one socket and the loop that empties it.

    Args:
        transport: where frames go.
        give_up: called once when the client is too far behind; cuts the connection.
        limit_bytes: how far behind is too far.
    """

    def __init__(
        self,
        transport: Transport,
        give_up: Callable[[], None],
        *,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._transport = transport
        self._give_up = give_up
        self._limit_bytes = limit_bytes
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._newest: dict[Hashable, int] = {}
        self._waiting_bytes = 0
        self._next = 0
        self._first = -1
        self._filled = asyncio.Event()
        #: ``run`` waits for a frame: what comes now may leave without it
        self._idle = False
        self.given_up = False

    @property
    def waiting(self) -> int:
        """Frames not yet handed to the transport."""
        return len(self._frames)

    def put(self, frame: Frame) -> None:
        """Send a frame, or queue it behind what waits; never waits itself.

        Mostly nothing waits, and waking the loop costs ten times what writing does: a count
        that goes to a hundred tabs would hold up the prompt that they watch.
        """
        if self.given_up or (self._idle and self._leaves(frame)):
            return
        if frame.key is not None:
            self._replace(frame.key)
        self._frames[self._next] = frame
        self._next += 1
        self._count(frame)

    def put_first(self, frame: Frame) -> None:
        """Queue a frame ahead of all that wait."""
        if self.given_up:
            return
        self._frames[self._first] = frame
        self._frames.move_to_end(self._first, last=False)
        self._first -= 1
        self._count(frame)

    async def run(self) -> None:
        """Send until cancelled or given up.

        Raises:
            ConnectionError: the client is gone.
        """
        while not self.given_up:
            self._idle = not self._filled.is_set()
            await self._filled.wait()
            while self._frames:
                number, frame = self._frames.popitem(last=False)
                self._waiting_bytes -= len(frame.body)
                if frame.key is not None and self._newest.get(frame.key) == number:
                    del self._newest[frame.key]
                await self._send(frame)
            self._filled.clear()

    async def _send(self, frame: Frame) -> None:
        if frame.binary:
            # images are packed already
            await self._transport.send_frame(frame.body, WSMsgType.BINARY)
            return
        if self._transport.deflates and len(frame.body) >= LEAST_BYTES:
            packed = await frame.packed()
            if packed:
                await self._transport.send_deflated(packed)
                return
        await self._transport.send_frame(frame.body, WSMsgType.TEXT)

    def _leaves(self, frame: Frame) -> bool:
        wire = frame.wire(deflates=self._transport.deflates)
        return wire is not None and self._transport.send_at_once(wire)

    def _replace(self, key: Hashable) -> None:
        """Drop the newest waiting frame of this key if the client is behind."""
        older = self._newest.get(key)
        self._newest[key] = self._next
        keeps_up = len(self._frames) < _PATIENCE and self._waiting_bytes < _PATIENCE_BYTES
        if older is None or keeps_up:
            return
        self._waiting_bytes -= len(self._frames.pop(older).body)

    def _count(self, frame: Frame) -> None:
        self._waiting_bytes += len(frame.body)
        self._idle = False
        self._filled.set()
        # a single frame may be larger than the limit (a lossless result): it is sent
        if self._waiting_bytes > self._limit_bytes and len(self._frames) > 1:
            self.given_up = True
            self._frames.clear()
            self._newest.clear()
            self._waiting_bytes = 0
            self._give_up()
