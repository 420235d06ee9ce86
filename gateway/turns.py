"""One prompt after the other, for clients that cannot follow two at once.

A ComfyUI runs one prompt at a time, so most scripts and plug-ins were never told of a second
one before the first had ended: some take any ``execution_success`` for their own, others drop
what they work on when another starts. Here prompts of one client run on several workers. A
socket whose client has declared nothing hears of one of them at a time; what is said of others
meanwhile is held back, of steps and previews the newest, and follows when the first has ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from gateway.outbox import Frame

#: bytes held back for one socket; with more its prompts are told as they run
MOST_BYTES: Final = 16 * 2**20


@dataclass(slots=True)
class _Held:
    """What waits to be said of one prompt."""

    frames: OrderedDict[Hashable, Frame] = field(default_factory=OrderedDict)
    ended: bool = False
    #: counts frames, so that each that is kept has a key of its own
    count: int = 0

    def add(self, frame: Frame) -> int:
        """Keep a frame in place of an older one that it outdates; bytes more."""
        self.count += 1
        key = self.count if frame.key is None else frame.key
        older = self.frames.pop(key, None)
        self.frames[key] = frame
        return len(frame.body) - (0 if older is None else len(older.body))


class Turns:
    """Whose turn it is on one socket.

    Args:
        put: sends a frame.
        most_bytes: what is held back at most.
    """

    def __init__(self, put: Callable[[Frame], None], *, most_bytes: int = MOST_BYTES) -> None:
        self._put = put
        self._most_bytes = most_bytes
        self._current = ""
        self._held: dict[str, _Held] = {}
        self._held_bytes = 0

    def put(self, frame: Frame, job: str, *, last: bool) -> None:
        """Send a frame of a job, now or in its turn.

        Args:
            frame: what is to be said.
            job: of which it is said.
            last: nothing more will be said of it.
        """
        if self._current not in ("", job):
            self._hold(frame, job, last=last)
            return
        self._current = "" if last else job
        self._put(frame)
        self._go_on()

    def flush(self) -> None:
        """Send all that is held back: the client can follow, or nothing runs any more."""
        held, self._held = self._held, {}
        self._held_bytes, self._current = 0, ""
        for one in held.values():
            for frame in one.frames.values():
                self._put(frame)

    def _hold(self, frame: Frame, job: str, *, last: bool) -> None:
        held = self._held.setdefault(job, _Held())
        held.ended = held.ended or last
        self._held_bytes += held.add(frame)
        if self._held_bytes > self._most_bytes:
            self.flush()

    def _go_on(self) -> None:
        """Nothing is said of a job that has ended: the next one has its turn."""
        while not self._current and self._held:
            job = next(iter(self._held))
            held = self._held.pop(job)
            self._current = "" if held.ended else job
            for frame in held.frames.values():
                self._held_bytes -= len(frame.body)
                self._put(frame)
