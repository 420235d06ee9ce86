"""Work in the thread that runs prompts, between prompts: elsewhere it would pull memory from under one.

That thread waits in ``PromptQueue.get``. Setting a flag of the queue wakes it, in every version since
2023; so work is run where it goes into ``get``, and again where it comes out of it.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .hooks import Hooks

#: seconds between two looks of a request that waits for its turn: a wake-up that comes between the
#: thread's look for work and its going to sleep would else be lost until the next prompt
LOOK_S = 0.05
#: seconds that a request waits for a prompt to end: ComfyUI tells of its end before it is over
GRACE_S = 0.5
#: the queue's flag; ComfyUI looks for its own names only
FLAG = "vramgate"

Work = Callable[[], Any]


class Busy(Exception):
    """A prompt runs, and what was asked for must wait for its end."""


class Turn:
    """Runs work between prompts.

    Attributes:
        failed: told of errors in work that nobody waits for.
    """

    def __init__(self, queue: Any) -> None:
        """``queue`` is ComfyUI's ``PromptQueue``."""
        self._queue = queue
        self._work: deque[tuple[Future[Any], Work]] = deque()
        self.failed: Callable[[str, BaseException], None] = _ignore

    def hold(self, hooks: Hooks) -> None:
        """Take hold of the queue. To be called before ComfyUI's thread starts."""
        hooks.wrap("PromptQueue.get", self._queue, "get", self._around)

    def busy(self) -> bool:
        """Whether a prompt runs."""
        return bool(self._queue.currently_running)

    async def do(self, work: Work) -> Any:
        """Run ``work`` in its turn and hand back what it returns.

        Raises:
            Busy: a prompt runs and does not end soon; ``work`` will not be run.
            Exception: what ``work`` raises.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + GRACE_S
        future = self._put(work)
        done = asyncio.wrap_future(future)
        while not done.done():
            if not future.running():
                self._queue.set_flag(FLAG, True)
            await asyncio.wait({done}, timeout=LOOK_S)
            if clock() > until and self.busy() and future.cancel():
                raise Busy
        return done.result()

    def before_next(self, work: Work) -> None:
        """Run ``work`` before the next prompt; nobody waits for it."""
        self._put(work).add_done_callback(self._told)

    def run_waiting(self) -> None:
        """Run what waits. Called in the prompts' thread; never raises."""
        while self._work:
            future, work = self._work.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work()
            except BaseException as error:  # the thread that runs prompts must live
                future.set_exception(error)
            else:
                future.set_result(result)

    def _put(self, work: Work) -> Future[Any]:
        future: Future[Any] = Future()
        self._work.append((future, work))
        return future

    def _told(self, future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            self.failed("turn", error)

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def get(*args: Any, **kwargs: Any) -> Any:
            self.run_waiting()
            item = original(*args, **kwargs)
            self.run_waiting()
            return item

        return get


def _ignore(where: str, error: BaseException) -> None:
    """Until somebody is there to be told."""
