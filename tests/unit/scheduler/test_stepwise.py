"""A forecast beside other tasks: it gives way, and ends when it should."""

from __future__ import annotations

import asyncio
import threading

from scheduler.forecast import Forecasting
from scheduler.states import Snapshot
from scheduler.stepwise import run_for
from tests.pools import config, gpu, job, snapshot, worker


class Clock:
    """Seconds that grow by a step whenever a plan was made."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched(Forecasting):
    """Notes in which thread its plans are made; each takes so many seconds."""

    def __init__(self, pool: Snapshot, clock: Clock, seconds: float) -> None:
        super().__init__(pool, config())
        self.threads: list[int] = []
        self._clock = clock
        self._seconds = seconds

    def step(self) -> bool:
        self.threads.append(threading.get_ident())
        self._clock.now += self._seconds
        return super().step()


def pool() -> Snapshot:
    jobs = [job(f"j{n}", need_seconds=10.0) for n in range(20)]
    return snapshot([gpu(used=4)], [worker(models=("checkpoints/a",), used=4)], jobs)


async def test_it_runs_to_the_end() -> None:
    run = Forecasting(pool(), config())
    await run_for(run, 1.0, Clock())
    assert len(run.forecasts()) == 20


async def test_it_is_cut_short_when_its_time_is_over() -> None:
    clock = Clock()
    run = Watched(pool(), clock, 0.125)
    await run_for(run, 1.0, clock)
    assert len(run.threads) == 8
    assert len(run.forecasts()) == 4


async def test_it_ends_when_enough_is_known() -> None:
    run = Forecasting(pool(), config())
    await run_for(run, 1.0, Clock(), enough=lambda: run.has("j3"))
    assert set(run.forecasts()) == {"j0", "j1", "j2", "j3"}


async def test_others_come_to_their_turn_after_each_plan() -> None:
    run, turns = Watched(pool(), Clock(), 0.0), 0
    task = asyncio.create_task(run_for(run, 1.0, Clock()))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= len(run.threads)


async def test_slow_plans_are_made_in_another_thread() -> None:
    clock = Clock()
    run = Watched(pool(), clock, 0.01)
    await run_for(run, 1.0, clock)
    here = threading.get_ident()
    assert run.threads[0] == here
    assert here not in run.threads[1:]


async def test_quick_ones_are_not() -> None:
    clock = Clock()
    run = Watched(pool(), clock, 0.001)
    await run_for(run, 1.0, clock)
    assert set(run.threads) == {threading.get_ident()}
