"""Tasks that live and die together.

Unlike ``asyncio.TaskGroup`` the first failure is raised as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any


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
    """Cancel tasks and wait until they have ended, even if cancelled meanwhile."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
