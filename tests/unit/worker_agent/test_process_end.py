"""A process's end is noticed, whoever its parent is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from worker_agent.process_end import until_gone
from worker_agent.supervisor import start_time

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def sleeping() -> subprocess.Popen[bytes]:
    return subprocess.Popen(SLEEP)


def orphan() -> int:
    start = f"subprocess.Popen({SLEEP!r}, stdout=subprocess.DEVNULL).pid"
    script = f"import subprocess; print({start})"
    return int(subprocess.check_output([sys.executable, "-S", "-c", script]))


async def ended(waiting: asyncio.Task[None]) -> bool:
    done, _ = await asyncio.wait([waiting], timeout=30)
    return bool(done)


async def test_a_child_that_is_killed_has_ended() -> None:
    child = sleeping()
    waiting = asyncio.create_task(until_gone(child.pid, lambda: child.poll() is None))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    child.kill()
    assert await ended(waiting)
    assert child.returncode == -9


async def test_a_process_of_somebody_else_has_ended_once_it_is_gone() -> None:
    # its parent ends at once and leaves it to whoever takes orphans
    pid = orphan()
    life = start_time(pid)
    waiting = asyncio.create_task(until_gone(pid, lambda: start_time(pid) == life))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    os.kill(pid, signal.SIGKILL)
    assert await ended(waiting)


async def test_one_that_ended_before_is_not_waited_for() -> None:
    child = sleeping()
    child.kill()
    child.wait()
    assert await ended(asyncio.create_task(until_gone(child.pid, lambda: False)))


async def test_a_number_that_is_somebody_elses_by_now_is_not_waited_for() -> None:
    other = sleeping()
    try:
        assert await ended(asyncio.create_task(until_gone(other.pid, lambda: False)))
    finally:
        other.kill()
        other.wait()


async def test_where_the_kernel_does_not_tell_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(pid: int) -> int:
        raise OSError("no such call")

    monkeypatch.setattr("os.pidfd_open", refuse)
    child = sleeping()
    waiting = asyncio.create_task(until_gone(child.pid, lambda: child.poll() is None))
    await asyncio.sleep(0.05)
    child.kill()
    assert await ended(waiting)
