"""The ledger's server: the in-memory books behind a door that opens, closes and forgets.

A restart goes back to what the books were a moment ago, as a server that writes its log
to disk once a second does, and gives the server another ``run_id``.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, Final, Protocol

from scheduler.ledger import LedgerUnavailable
from scheduler.memory_books import Books
from scheduler.memory_ledger import MemoryLedger
from simulator.chaos.loop import VirtualLoop

#: calls that wait for something to happen
BLOCKING: Final = frozenset({"next_order", "events", "record_events"})
#: calls after which nothing in the books is different
READING: Final = frozenset(
    {
        "find", "unfinished", "ended", "prompts", "results", "remaining", "file", "files",
        "profiles", "snapshot", "all_profiles", "held", "last_event_id", "events", "pool",
        "counts", "jobs", "ping", "overrides", "run_id",
    }
)  # fmt: skip
#: the server's clock when an episode begins: 2026-01-01, milliseconds since the epoch
_EPOCH_MS: Final = 1_767_225_600_000
MakeBooks = Callable[[Callable[[], int], Callable[[], str]], Books]


class Clock:
    """The server's clock: virtual time plus all steps so far. The same in every copy."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.offset_ms = 0

    def __call__(self) -> int:
        """Milliseconds since the epoch."""
        return _EPOCH_MS + self.offset_ms + int(self._loop.time() * 1000)

    def __deepcopy__(self, _memo: dict[int, Any]) -> Clock:
        """Time is not part of what a restart forgets."""
        return self


class CallName:
    """The name of the call that is being served, told to the books by ``new_call``."""

    def __init__(self) -> None:
        self.now = ""

    def __call__(self) -> str:
        """The name."""
        return self.now

    def __deepcopy__(self, _memo: dict[int, Any]) -> CallName:
        """It is the connection's, not the books'."""
        return self


class Observer(Protocol):
    """Sees everything that the server does, at once."""

    def before(self, books: Books, name: str, args: tuple[Any, ...]) -> Any:
        """A call is about to be served."""
        ...

    def after(self, books: Books, name: str, args: tuple[Any, ...], reply: Any, seen: Any) -> None:
        """A call was served; ``seen``: what ``before`` answered."""
        ...

    def remember(self) -> Any:
        """What it knows now, to be restored with the books."""
        ...

    def restore(self, books: Books, memory: Any) -> None:
        """The server forgot everything since then."""
        ...


class Image:
    """The books as they are on disk."""

    def __init__(self, books: Books, memory: Any) -> None:
        self.books = books
        self.memory = memory


class Server:
    """The one ledger of the world."""

    def __init__(self, loop: VirtualLoop, make_books: MakeBooks, observer: Observer) -> None:
        self._loop = loop
        self._observer = observer
        self.clock = Clock(loop)
        self._call = CallName()
        self.ledger = MemoryLedger(make_books(self.clock, self._call))
        self.up = True
        self.life = 1
        self.books.life = self.run_id
        self.up_since = 0.0
        #: calls that wait, in the order they came
        self._blocked: dict[asyncio.Task[Any], None] = {}

    @property
    def books(self) -> Books:
        """The books as they are now."""
        return self.ledger.books

    @property
    def run_id(self) -> str:
        """Names this life."""
        return f"life-{self.life}"

    def serve(self, call: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Serve a call that does not wait.

        Raises:
            LedgerUnavailable: the server is down.
        """
        if not self.up:
            raise LedgerUnavailable("the server is down")
        self._call.now = call
        books = self.books
        if name in READING:
            return _at_once(getattr(self.ledger, name)(*args, **kwargs))
        seen = self._observer.before(books, name, args)
        reply = _at_once(getattr(self.ledger, name)(*args, **kwargs))
        self._observer.after(books, name, args, reply, seen)
        return reply

    def serve_blocking(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> asyncio.Task[Any]:
        """Serve a call that waits; its task fails when the server goes down.

        Raises:
            LedgerUnavailable: the server is down already.
        """
        if not self.up:
            raise LedgerUnavailable("the server is down")
        task = self._loop.apart(getattr(self.ledger, name)(*args, **kwargs))
        self._blocked[task] = None
        task.add_done_callback(lambda done: self._blocked.pop(done, None))
        return task

    # ── faults ───────────────────────────────────────────────────────────────

    def image(self) -> Image:
        """What a restart would find if the log were written to disk now."""
        # what never changes is shared: copies take half the time of an episode else
        stream = self.books.stream
        memo: dict[int, Any] = {id(event): event for event in stream._events}
        for record in self.books.records.values():
            memo[id(record.job)] = record.job
        return Image(copy.deepcopy(self.books, memo), self._observer.remember())

    def crash(self) -> None:
        """Stop answering; whoever waits hears of it."""
        self.up = False
        for task in list(self._blocked):
            task.cancel()

    def restart(self, image: Image) -> None:
        """Start again with what was on disk."""
        self.life += 1
        self.ledger = MemoryLedger(image.books)
        self.books.life = self.run_id
        self.up = True
        self.up_since = self._loop.time()
        self._observer.restore(self.books, image.memory)


def _at_once(call: Any) -> Any:
    """What a coroutine returns that never waits."""
    try:
        call.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("a call that should not wait has waited")
