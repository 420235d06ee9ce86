from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.unit.worker_agent.probe.standins import PromptsThread, Queue
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.turn import Busy, Turn


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def turn(queue: Queue) -> Iterator[Turn]:
    turn = Turn(queue)
    hooks = Hooks()
    turn.hold(hooks)
    assert hooks.present == ["PromptQueue.get"]
    with PromptsThread(queue):
        yield turn


async def test_work_runs_in_the_prompts_thread_while_that_waits_for_a_prompt(
    turn: Turn, queue: Queue
) -> None:
    ran_in = await turn.do(threading.get_ident)
    assert ran_in != threading.get_ident()
    assert await turn.do(threading.get_ident) == ran_in


async def test_work_is_refused_while_a_prompt_runs_and_not_run_later(
    turn: Turn, queue: Queue
) -> None:
    end, ran = threading.Event(), []
    queue.put(lambda: end.wait(10))
    while not turn.busy():
        await asyncio.sleep(0.001)
    with pytest.raises(Busy):
        await turn.do(lambda: ran.append(1))
    end.set()
    assert await turn.do(lambda: 2) == 2
    assert ran == []


async def test_work_waits_for_a_prompt_that_is_about_to_end(turn: Turn, queue: Queue) -> None:
    end = threading.Event()
    queue.put(lambda: end.wait(10))
    while not turn.busy():
        await asyncio.sleep(0.001)
    asyncio.get_running_loop().call_later(0.1, end.set)
    assert await turn.do(lambda: "done") == "done"


async def test_what_is_to_come_before_the_next_prompt_does(turn: Turn, queue: Queue) -> None:
    end, seen = threading.Event(), []
    queue.put(lambda: end.wait(10))
    queue.put(lambda: seen.append("prompt"))
    while not turn.busy():
        await asyncio.sleep(0.001)
    turn.before_next(lambda: seen.append("work"))
    end.set()
    await turn.do(lambda: None)
    while len(seen) < 2:
        await asyncio.sleep(0.001)
    assert seen == ["work", "prompt"]


async def test_an_error_reaches_who_asked_and_the_thread_lives(turn: Turn) -> None:
    def fail() -> None:
        raise MemoryError("all gone")

    with pytest.raises(MemoryError, match="all gone"):
        await turn.do(fail)
    assert await turn.do(lambda: 1) == 1


async def test_an_error_that_nobody_waits_for_is_told(turn: Turn) -> None:
    told: list[tuple[str, BaseException]] = []
    turn.failed = lambda where, error: told.append((where, error))

    def fail() -> None:
        raise ValueError

    turn.before_next(fail)
    await turn.do(lambda: None)
    assert [where for where, _ in told] == ["turn"]


async def test_a_wake_up_that_comes_before_the_thread_sleeps_is_not_lost() -> None:
    queue = Queue()
    turn = Turn(queue)
    asleep = queue.get

    def slow_to_sleep(timeout: float | None = None) -> object:
        # the look for work is over, the flag was set for nobody
        threading.Event().wait(0.08)
        return asleep(timeout)

    queue.get = slow_to_sleep  # type: ignore[method-assign]
    turn.hold(Hooks())
    with PromptsThread(queue):
        await asyncio.sleep(0.02)
        assert await turn.do(lambda: "ran") == "ran"
