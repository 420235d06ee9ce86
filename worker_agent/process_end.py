"""Waits for the end of a process: told by the kernel at once, without looking again and again."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Final

#: how often it is looked at where the kernel does not tell, seconds
_LOOK: Final = 0.25


async def until_gone(pid: int, alive: Callable[[], bool]) -> None:
    """Wait until a process has ended.

    Args:
        pid: the process; a child of ours or not.
        alive: whether it still runs, and reaps it: the number alone may be somebody else's by now.
    """
    file = _pidfd(pid)
    if file is not None:
        try:
            if alive():
                await _readable(file)
        finally:
            os.close(file)
    # its end is nobody's event where the kernel does not tell (no Linux, or one before 5.3)
    while alive():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)


def _pidfd(pid: int) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None  # it has ended, or this kernel has no such call: looking tells which


async def _readable(file: int) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(file, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(file)
