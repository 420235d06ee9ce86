"""One prompt after the other, for clients that cannot follow two at once.

A ComfyUI runs one prompt at a time, so most scripts and plug-ins were never told of a second
one before the first had ended: some take any ``execution_success`` for their own, others drop
what they work on when another starts. Here prompts of one client run on several workers. A
socket whose client has declared nothing hears of one of them at a time; what is said of others
meanwhile is held back, of steps and previews the newest, and follows when the first has ended.
Counts wait with a prompt that has ended unheard: at each count some clients look for their
prompts, and one that is gone before they heard it start is lost to them.

A prompt that named no client is told to all sockets of its user, and holds up none: a prompt of
the socket's own client takes the turn from it.

No turn lasts for ever. It ends with the job, whose end every gateway with a socket of its user
reads from the ledger's stream, not from an agent's feed, and a socket joins only once what ended
before is shown (``Hub.past_is_shown``); when the job goes back to the queue; with the socket; and,
for a job that a server lost with its ledger, as soon as nothing of the user's is left to run.
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

    own: bool
    frames: OrderedDict[Hashable, Frame] = field(default_factory=OrderedDict)
    #: nothing more is to come, as far as is known
    over: bool = False
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
        #: the one whose turn it is named this client
        self._own = True
        self._held: dict[str, _Held] = {}
        self._held_bytes = 0
        #: jobs that have ended, and whose clients have not heard so
        self._unheard: set[str] = set()
        #: the newest count that waits for them
        self._count: Frame | None = None

    def put(self, frame: Frame, job: str, *, last: bool, own: bool = True) -> None:
        """Send a frame of a job, now or in its turn.

        Args:
            frame: what is to be said.
            job: of which it is said.
            last: nothing more will be said of it.
            own: the job named this client.
        """
        if self._current not in ("", job):
            if self._own or not own:
                self._hold(frame, job, last=last, own=own)
                return
            self._held.setdefault(self._current, _Held(own=False))
        self._put(frame)
        self._take_turn(job, over=last, own=own)
        self._go_on()

    def put_count(self, frame: Frame) -> None:
        """Send a count, or keep it until it says no more than the client has heard."""
        if self._unheard:
            self._count = frame
        else:
            self._put(frame)

    def ending(self, job: str) -> None:
        """A job has ended, of which the last is still to be said."""
        if self._current not in ("", job):
            self._unheard.add(job)

    def give_up(self, job: str) -> None:
        """A job went back to the queue: nobody waits for it until something new is said of it."""
        held = self._held.get(job)
        if held is not None:
            held.over = True
        if self._current == job:
            self._current = ""
        self._go_on()

    def flush(self) -> None:
        """Send all that is held back: the client can follow, or nothing runs any more."""
        held, self._held = self._held, {}
        self._held_bytes, self._current = 0, ""
        self._unheard.clear()
        for one in held.values():
            for frame in one.frames.values():
                self._put(frame)
        self._go_on()

    def _take_turn(self, job: str, *, over: bool, own: bool) -> None:
        self._current, self._own = "" if over else job, own
        if over:
            self._unheard.discard(job)

    def _hold(self, frame: Frame, job: str, *, last: bool, own: bool) -> None:
        held = self._held.setdefault(job, _Held(own=own))
        held.over = last
        self._held_bytes += held.add(frame)
        if self._held_bytes > self._most_bytes:
            self.flush()

    def _go_on(self) -> None:
        """Nothing is said of a job that has ended: the next one has its turn."""
        while not self._current and self._held:
            # one's own first
            job = next((job for job, held in self._held.items() if held.own), None)
            job = job or next(iter(self._held))
            held = self._held.pop(job)
            for frame in held.frames.values():
                self._held_bytes -= len(frame.body)
                self._put(frame)
            self._take_turn(job, over=held.over, own=held.own)
        count, self._count = self._count, None
        if count is not None:
            self.put_count(count)
