"""What runs now, on its way to gateways: one bounded buffer for each.

A slow gateway never slows a worker or another gateway: of previews, progress
and node states it gets the newest only. Everything else (lifecycle, text,
lossless results) it gets complete and in order; one that lags so far that
this would take too much memory is disconnected, comes back and subscribes anew.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from scheduler.live import GLANCED, LiveFrame, LiveHeader, pack_binary
from worker_agent import loose_json

#: bytes one gateway may lag behind before it is disconnected
BUFFER_BYTES: Final = 64 * 2**20
#: frames waiting before newer previews and progress replace older ones: a burst
#: within one turn of the event loop is not yet a slow gateway
_PATIENCE: Final = 64
#: seconds that an attempt is repeated to newcomers after its end: a gateway that lags may
#: hear only now of a prompt that was short
_KEPT_S: Final = 5.0
#: results of one attempt that are repeated, and their bytes; the oldest go first
_MOST_RESULTS: Final = 256
_MOST_RESULT_BYTES: Final = 2**20
#: messages of which only the newest matters
_NEWEST: Final = frozenset({"progress", "progress_state"})

Wire = str | bytes


@dataclass(slots=True)
class _Running:
    """What a newcomer is told of a running job."""

    user: str
    start: LiveFrame | None = None
    executing: LiveFrame | None = None
    results: list[str] = field(default_factory=list)
    #: the newest ``progress_state``, without its message, and that message's data
    progress: tuple[LiveFrame, str] | None = None
    end: LiveFrame | None = None
    forget_at: float | None = None
    #: what all its frames with an undecoded message begin with, "" before the first
    opening: str = ""

    def repeated(self, *, results: bool = True) -> list[str]:
        """Where it stands, as frames for somebody who has heard nothing of it."""
        first = [_again(frame) for frame in (self.executing, self.start) if frame is not None]
        last = [_again(self.end)] if self.end is not None else []
        if self.progress is not None:
            frame, data = self.progress
            opening = _opening(msgspec.structs.replace(frame, replay=True))
            last.insert(0, _joined(opening, "progress_state", data))
        return [*first, *(self.results if results else ()), *last]

    def add_result(self, frame: LiveFrame) -> None:
        """A node's ``executed``, to be repeated as long as there is room."""
        self.results.append(_again(frame))
        while len(self.results) > _MOST_RESULTS or self._result_bytes > _MOST_RESULT_BYTES:
            del self.results[0]

    @property
    def _result_bytes(self) -> int:
        return sum(len(result) for result in self.results)


class Feed:
    """One gateway's buffer. Made by ``LiveHub.attach``."""

    def __init__(self, limit_bytes: int) -> None:
        self.users: frozenset[str] = frozenset()
        #: of these it only wants to know where their jobs stand
        self.glances: frozenset[str] = frozenset()
        #: sends a frame without waiting; False: it has to wait here
        self.send_now: Callable[[Wire], bool] = lambda wire: False
        self._limit = limit_bytes
        self._size = 0
        self._next = 0
        self._entries: OrderedDict[int, tuple[Wire, Hashable | None]] = OrderedDict()
        self._newest: dict[Hashable, int] = {}
        self._ready = asyncio.Event()
        #: True: it lagged too far, or the hub has closed; close its socket
        self.closed = False

    def put(self, wire: Wire, newest_wins: Hashable | None = None) -> None:
        """Append a frame, or send it at once where none waits before it.

        Of frames with one ``newest_wins`` key a gateway that is behind gets the newest only.
        """
        if self.closed or (not self._entries and self.send_now(wire)):
            return
        if newest_wins is not None:
            older = self._newest.get(newest_wins)
            if older is not None and len(self._entries) >= _PATIENCE:
                self._size -= len(self._entries.pop(older)[0])
            self._newest[newest_wins] = self._next
        self._entries[self._next] = (wire, newest_wins)
        self._next += 1
        self._size += len(wire)
        if self._size > self._limit:
            self.close()
        self._ready.set()

    def close(self) -> None:
        """Drop what waits and end the stream."""
        self.closed = True
        self._entries.clear()
        self._newest.clear()
        self._size = 0
        self._ready.set()

    async def get(self) -> Wire | None:
        """The next frame, or None once the feed is closed."""
        while not self._entries:
            if self.closed:
                return None
            self._ready.clear()
            await self._ready.wait()
        number, (wire, key) = self._entries.popitem(last=False)
        self._size -= len(wire)
        if key is not None and self._newest.get(key) == number:
            del self._newest[key]
        return wire


class LiveHub:
    """Takes frames of all running attempts and spreads them over the gateways' feeds.

    Args:
        clock: monotonic seconds.
        limit_bytes: how far a gateway may lag behind.
    """

    def __init__(self, clock: Callable[[], float], limit_bytes: int = BUFFER_BYTES) -> None:
        self._clock = clock
        self._limit = limit_bytes
        self._feeds: set[Feed] = set()
        #: by job and attempt: a job may already run again elsewhere on this host
        self._running: dict[tuple[str, int], _Running] = {}

    def attach(self) -> Feed:
        """A feed for a gateway that has just connected; it subscribes to nobody yet."""
        feed = Feed(self._limit)
        self._feeds.add(feed)
        return feed

    def detach(self, feed: Feed) -> None:
        """The gateway is gone."""
        feed.close()
        self._feeds.discard(feed)

    def close(self) -> None:
        """End all feeds."""
        for feed in list(self._feeds):
            self.detach(feed)

    def subscribe(
        self, feed: Feed, users: frozenset[str], glances: frozenset[str] = frozenset()
    ) -> None:
        """Replace a feed's users; of new ones the running jobs' present state is repeated.

        Args:
            feed: a gateway's.
            users: of whom it hears everything.
            glances: of whom it hears where their jobs stand.
        """
        self._drop_ended()
        new = users - feed.users
        glanced = glances - users - feed.glances - feed.users
        feed.users, feed.glances = users, glances - users
        for running in self._running.values():
            if running.user in new or running.user in glanced:
                for wire in running.repeated(results=running.user in new):
                    feed.put(wire)

    def publish(self, frame: LiveFrame) -> None:
        """Send a ComfyUI message to everybody who watches its user."""
        type_ = _type(frame)
        if frame.message is not None and type_ in _NEWEST:
            data = loose_json.encode(frame.message.get("data")).decode()
            self.publish_progress(msgspec.structs.replace(frame, message=None), type_, data)
            return
        self._remember(frame)
        if self.is_watched(frame.user):
            self._spread(frame.user, _text(frame), None, glanced=type_ in GLANCED)

    def publish_progress(
        self, frame: LiveFrame, type_: str, data: str, *, newest_wins: bool = True
    ) -> None:
        """Send a ``progress`` or ``progress_state`` on, undecoded.

        Args:
            frame: without a message.
            type_: the message's type.
            data: the message's data, JSON in the user's names.
            newest_wins: whether a gateway that is behind may do without it.
        """
        running = self._of(frame)
        if type_ == "progress_state":
            running.progress = (frame, data)
        if self.is_watched(frame.user):
            running.opening = running.opening or _opening(frame)
            key = (type_, frame.job) if newest_wins else None
            wire = _joined(running.opening, type_, data)
            self._spread(frame.user, wire, key, glanced=type_ in GLANCED)

    def is_watched(self, user: str) -> bool:
        """Whether any gateway wants to hear of this user's jobs."""
        # no generator: it is asked for every frame
        for feed in self._feeds:  # noqa: SIM110
            if user in feed.users or user in feed.glances:
                return True
        return False

    def publish_binary(self, header: LiveHeader, payload: bytes) -> None:
        """Send an image or text."""
        # text of different nodes is different news; images of one job replace each other
        preview = not header.lossless and header.image_type
        key = ("preview", header.job) if preview else None
        self._spread(header.user, pack_binary(header, payload), key)

    def end(self, frame: LiveFrame) -> None:
        """Say that nothing more of this attempt will come; ``frame.end`` is set."""
        running = self._running.get((frame.job, frame.attempt))
        if running is not None:
            running.end = frame
        self._spread(frame.user, _text(frame), None, glanced=True)

    def forget(self, job: str, attempt: int) -> None:
        """The attempt is over: newcomers are soon told no more of it, and at once if it broke."""
        self._drop_ended()
        running = self._running.get((job, attempt))
        if running is None:
            return
        if running.end is None:
            del self._running[job, attempt]
        else:
            running.forget_at = self._clock() + _KEPT_S

    def _drop_ended(self) -> None:
        now = self._clock()
        for key, running in list(self._running.items()):
            if running.forget_at is not None and running.forget_at <= now:
                del self._running[key]

    def _spread(
        self, user: str, wire: Wire, newest_wins: Hashable | None, *, glanced: bool = False
    ) -> None:
        for feed in self._feeds:
            if user in feed.users or (glanced and user in feed.glances):
                feed.put(wire, newest_wins)

    def _of(self, frame: LiveFrame) -> _Running:
        key = frame.job, frame.attempt
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = _Running(frame.user)
        return running

    def _remember(self, frame: LiveFrame) -> None:
        running = self._of(frame)
        match _type(frame):
            case "execution_start":
                running.start = frame
            case "executing":
                running.executing = frame
            case "executed":
                running.add_result(frame)


def _again(frame: LiveFrame) -> str:
    return _text(msgspec.structs.replace(frame, replay=True))


def _opening(frame: LiveFrame) -> str:
    """What the wire form of a frame begins with, up to its message."""
    return f'{_text(frame)[:-1]},"message":'


def _joined(opening: str, type_: str, data: str) -> str:
    """The wire form of a frame with a message whose data is JSON already."""
    return f'{opening}{{"type":"{type_}","data":{data}}}}}'


def _text(frame: LiveFrame) -> str:
    try:
        return msgspec.json.encode(frame).decode()
    except UnicodeEncodeError:
        # a lone surrogate in a message of a node pack; escape it as ComfyUI did
        return json.dumps(msgspec.to_builtins(frame))


def _type(frame: LiveFrame) -> Any:
    return frame.message.get("type") if frame.message else None
