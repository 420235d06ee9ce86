"""An event loop whose time is virtual: it jumps to the next timer, and never sleeps.

Everything runs in one thread, in an order that depends on nothing but what was
scheduled: one seed is one history. An ``Actor`` stands for a process: all that its
tasks do can be frozen as by SIGSTOP, timers included, and goes on in its old order.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")


class Stuck(Exception):
    """Nothing is left that could ever happen: a task waits for what nobody will do."""


class Actor:
    """One process of the simulated world."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused = False
        #: killed: nothing that it says reaches anybody any more
        self.severed = False
        self.parked: list[asyncio.Handle] = []

    def __repr__(self) -> str:
        """Its name, for histories."""
        return self.name


_ACTOR: Final[contextvars.ContextVar[Actor | None]] = contextvars.ContextVar("actor", default=None)


def current_actor() -> Actor | None:
    """Whose code runs; None: the world's own."""
    return _ACTOR.get()


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks at virtual times. ``nobody``: the context of what no process does."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        #: callbacks run so far
        self.steps = 0
        self.nobody = contextvars.Context()
        self._queue: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def start(self, actor: Actor, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as part of a process; so is every task that it makes."""
        context = contextvars.copy_context()
        context.run(_ACTOR.set, actor)
        return self.create_task(work, context=context)

    def apart(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as part of no process: what a network or a server does."""
        return self.create_task(work, context=self.nobody.copy())

    def resume(self, actor: Actor) -> None:
        """Let a frozen process go on with all that became due meanwhile."""
        actor.paused = False
        self._ready.extend(actor.parked)  # type: ignore[attr-defined]
        actor.parked.clear()

    # ── what asyncio asks of a loop ──────────────────────────────────────────

    def _run_once(self) -> None:
        ready, queue = self._ready, self._queue  # type: ignore[attr-defined]
        self._drop_cancelled(queue)
        if not ready:
            if not queue:
                raise Stuck("no callback and no timer is left")
            self._now = max(self._now, queue[0].when())
        while queue and queue[0].when() <= self._now:
            timer = heapq.heappop(queue)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            actor = handle._context.get(_ACTOR)
            if actor is not None and actor.paused:
                actor.parked.append(handle)
                continue
            self.steps += 1
            handle._run()

    @staticmethod
    def _drop_cancelled(queue: list[asyncio.TimerHandle]) -> None:
        while queue and queue[0].cancelled():
            heapq.heappop(queue)._scheduled = False  # type: ignore[attr-defined]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers leave the queue when they come to its top."""

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no other threads."""

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call it at once: threads would bring an order of their own."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # handed on to whoever waits, as an executor does
            future.set_exception(error)
        return future

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., Any], *args: Any
    ) -> None:
        """No signal comes: processes are stopped by cancelling their first task."""
