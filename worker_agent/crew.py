"""Tasks that live and die together.

``asyncio.TaskGroup`` cancels each task once. That is not enough here: on
Python 3.11 ``asyncio.wait_for`` drops a cancellation that comes in the moment
its inner call is done, and redis-py 8.1 sends every command through it (of
some hundred stops of an agent two hung for ever).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final

#: how often a task that was told to stop is told again, seconds
_AGAIN: Final = 0.2


async def run_together(*work: Coroutine[Any, Any, None]) -> None:
    """Run all until cancelled, or until one fails; then stop the others.

    Raises:
        Exception: whatever the first task to fail raised.
    """
    tasks = [asyncio.create_task(part) for part in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await stop_all(tasks)
    for task in done:
        task.result()


async def stop_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have really ended, even if cancelled meanwhile."""
    pending = {task for task in tasks if not task.done()}
    interrupted = False
    while pending:
        for task in pending:
            task.cancel()
        try:
            _, pending = await asyncio.wait(pending, timeout=_AGAIN)
        except asyncio.CancelledError:
            interrupted = True
    if interrupted:
        raise asyncio.CancelledError
