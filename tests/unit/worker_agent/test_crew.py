from __future__ import annotations

import asyncio

import pytest

from worker_agent.crew import run_together, stop_all


class Stubborn:
    """Swallows the first cancellations, as ``wait_for`` of Python 3.11 may."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.ended = False

    async def run(self) -> None:
        try:
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.times -= 1
                    if self.times < 0:
                        raise
        finally:
            self.ended = True


async def test_a_task_that_swallows_a_cancellation_is_told_again() -> None:
    stubborn = Stubborn(2)
    together = asyncio.create_task(run_together(stubborn.run(), asyncio.sleep(60)))
    await asyncio.sleep(0)
    together.cancel()
    with pytest.raises(asyncio.CancelledError):
        await together
    assert stubborn.ended


async def test_being_cancelled_while_stopping_leaves_no_task_behind() -> None:
    stubborn = Stubborn(2)
    task = asyncio.create_task(stubborn.run())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(stop_all([task]))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert task.done()


async def test_when_one_fails_the_others_stop_and_its_error_is_raised() -> None:
    other = Stubborn(0)

    async def fail() -> None:
        raise LookupError("this one")

    with pytest.raises(LookupError, match="this one"):
        await run_together(other.run(), fail())
    assert other.ended
