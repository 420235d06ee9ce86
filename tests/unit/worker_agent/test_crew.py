from __future__ import annotations

import asyncio

import pytest

from worker_agent.crew import run_together, stop_all


class Slow:
    """Takes a few steps of the loop to end after it was told to."""

    def __init__(self) -> None:
        self.ended = False

    async def run(self) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            self.ended = True


async def test_being_cancelled_stops_all_and_waits_for_them() -> None:
    slow = Slow()
    together = asyncio.create_task(run_together(slow.run(), asyncio.sleep(60)))
    await asyncio.sleep(0)
    together.cancel()
    with pytest.raises(asyncio.CancelledError):
        await together
    assert slow.ended


async def test_being_cancelled_while_stopping_leaves_no_task_behind() -> None:
    slow = Slow()
    task = asyncio.create_task(slow.run())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(stop_all([task]))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert task.done()


async def test_when_one_fails_the_others_stop_and_its_error_is_raised() -> None:
    other = Slow()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("this one")

    with pytest.raises(LookupError, match="this one"):
        await run_together(other.run(), fail())
    assert other.ended
