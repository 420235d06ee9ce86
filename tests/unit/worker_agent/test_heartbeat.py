"""When the cards are read, and when the ledger is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from config.settings import Settings
from scheduler.ledger import Report
from scheduler.ledger_values import Reported
from scheduler.states import Agent, WorkerState
from tests.factories import worker
from worker_agent.heartbeat import Heartbeat
from worker_agent.host import HostBook


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Book:
    """Cards of which nothing is known but how often they were read."""

    gpus: tuple[()] = ()
    readings = 0

    def sample(self, tenants: object) -> None:
        self.readings += 1


class Ledger:
    def __init__(self) -> None:
        self.told: list[Report] = []

    async def report(self, report: Report) -> Reported:
        self.told.append(report)
        return Reported(replaced=False, rivals={}, protocol=0)


class Stage:
    def __init__(self) -> None:
        self.clock, self.book, self.ledger = Clock(), Book(), Ledger()
        record = Agent(id="host", url="", version="", heartbeat_ms=0, boot="b")
        self.heartbeat = Heartbeat(
            cast(Any, self.ledger),
            record,
            cast(Any, self.book),
            # a host that tells nothing: its memory would differ from one report to the next
            HostBook(self.clock, proc=Path("none")),
            Settings(),
            self.clock,
        )
        self.worker = worker()
        self.heartbeat.workers = lambda: [self.worker]

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.005)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    running = asyncio.create_task(stage.heartbeat.run())
    await stage.until(lambda: len(stage.ledger.told) == 1)
    yield stage
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_news_is_told_at_once_with_the_figures_of_a_moment_ago(stage: Stage) -> None:
    stage.worker = replace(stage.worker, state=WorkerState.DOWN)
    stage.heartbeat.wake()
    await stage.until(lambda: len(stage.ledger.told) == 2)
    assert stage.ledger.told[-1].workers == [stage.worker]
    assert stage.book.readings == 1


async def test_the_cards_are_read_again_soon_after_a_wake_that_came_too_early(
    stage: Stage,
) -> None:
    stage.heartbeat.wake()
    stage.clock.now = 0.2
    await stage.until(lambda: stage.book.readings == 2)
    # nothing new was seen
    assert len(stage.ledger.told) == 1


async def test_what_is_as_ever_is_repeated_each_second(stage: Stage) -> None:
    stage.clock.now = 1.0
    await stage.until(lambda: len(stage.ledger.told) == 2)
    assert stage.ledger.told[0] == stage.ledger.told[1]
