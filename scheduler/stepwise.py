"""Runs a forecast beside other tasks: none of them waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from scheduler.forecast import Forecasting

#: A step is one plan. Where plans take longer than this, the next goes to a thread of its
#: own: the interpreter lets others in every 5 ms.
_SLOW_S: Final = 0.005
Apart = Callable[[Callable[[], bool]], Awaitable[bool]]


async def run_for(
    run: Forecasting,
    longest_s: float,
    clock: Callable[[], float],
    *,
    enough: Callable[[], bool] = lambda: False,
    apart: Apart = asyncio.to_thread,
) -> None:
    """Make plans until there is nothing more to foresee.

    Args:
        run: what comes of it is as complete as it got.
        longest_s: it is cut short after so long.
        clock: any seconds that grow.
        enough: tells that it may end before.
        apart: makes one plan where it holds nobody up.
    """
    began = now = clock()
    slow, going = False, True
    while going and not enough() and now - began < longest_s:
        going = await apart(run.step) if slow else run.step()
        await asyncio.sleep(0)
        before, now = now, clock()
        slow = now - before > _SLOW_S
