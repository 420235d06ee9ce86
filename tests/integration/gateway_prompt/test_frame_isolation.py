"""Every kind of frame: its user reads it, another with the same client id reads nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from scheduler.ledger import Ending
from scheduler.states import FailReason, Job
from tests.integration.gateway_prompt.stage import Stage, Tab, remaining

FLAGS = {
    "supports_preview_metadata": True,
    "supports_manager_v4_ui": True,
    "supports_progress_text_metadata": True,
}
Act = Callable[[Stage, Job], Awaitable[None]]


def say(type_: str, data: dict[str, Any] | None = None) -> Act:
    async def act(stage: Stage, job: Job) -> None:
        await stage.agent.say(job, type_, data or {"node": "1", "prompt_id": job.prompt_id})

    return act


def show(event: int, **changes: Any) -> Act:
    async def act(stage: Stage, job: Job) -> None:
        await stage.agent.show(job, b"payload", event=event, **changes)

    return act


def end(ending: Ending, closing: str) -> Act:
    async def act(stage: Stage, job: Job) -> None:
        await stage.agent.end(job)
        await stage.settle(job, ending, closing)

    return act


def is_message(type_: str) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, dict) and frame["type"] == type_


def is_event(number: int) -> Callable[[Any], bool]:
    return lambda frame: isinstance(frame, bytes) and frame[:4] == number.to_bytes(4, "big")


@asynccontextmanager
async def listening(stage: Stage, user: str, client_id: str = "same") -> AsyncIterator[Tab]:
    """A socket that has asked for all that can be asked for."""
    async with stage.tab(user, client_id) as tab:
        await tab.socket.send_str(json.dumps({"type": "feature_flags", "data": FLAGS}))
        await tab.until(is_message("feature_flags"))
        body = {"clientId": client_id, "enabled": True}
        await stage.call("PATCH", "/internal/logs/subscribe", user, json=body)
        yield tab


SUCCESS = end(Ending.SUCCEEDED, "execution_success")
RUNNING: list[tuple[str, Act, Callable[[Any], bool]]] = [
    *(
        (type_, say(type_), is_message(type_))
        for type_ in (
            "execution_start",
            "execution_cached",
            "executing",
            "executed",
            "progress",
            "progress_state",
            "display_component",
        )
    ),
    ("an event of a pack", say("a.pack", {"any": [1]}), is_message("a.pack")),
    ("binary 1", show(1, metadata=None, lossless=True), is_event(1)),
    ("binary 3", show(3, metadata=None), is_event(3)),
    ("binary 4", show(4), is_event(4)),
    ("success", SUCCESS, is_message("execution_success")),
    ("error", end(Ending.FAILED, "execution_error"), is_message("execution_error")),
    (
        "interrupted",
        end(Ending.CANCELLED, "execution_interrupted"),
        is_message("execution_interrupted"),
    ),
    ("count", SUCCESS, is_message("status")),
    ("end", SUCCESS, lambda frame: is_message("executing")(frame) and not frame["data"]["node"]),
    ("log", SUCCESS, is_message("logs")),
]


@pytest.mark.parametrize(
    ("act", "wanted"), [one[1:] for one in RUNNING], ids=[o[0] for o in RUNNING]
)
@pytest.mark.parametrize("client_id", ["same", None])
async def test_of_a_running_prompt(
    stage: Stage, act: Act, wanted: Callable[[Any], bool], client_id: str | None
) -> None:
    async with listening(stage, "bob") as bobs, listening(stage, "ann") as anns:
        job = await stage.start(await stage.queue("ann", client_id))
        await stage.agent.say(job, "execution_start", {"prompt_id": job.prompt_id})
        await act(stage, job)
        await anns.until(wanted)
        assert await bobs.silent()


async def test_of_a_waiting_prompt_that_then_is_refused(stage: Stage) -> None:
    async with listening(stage, "bob") as bobs, listening(stage, "ann") as anns:
        job = await stage.queue("ann", "same")
        await anns.until(is_event(3))
        await stage.ledger.refuse(stage.epoch, job, FailReason.INFEASIBLE, "too big")
        await anns.until(is_message("execution_error"))
        assert await bobs.silent()


async def test_of_what_somebody_is_told_who_comes_back(stage: Stage) -> None:
    async with stage.tab("ann", "elsewhere") as elsewhere:
        ended = await stage.start(await stage.queue("ann", "same"))
        await stage.agent.end(ended)
        await stage.settle(ended)
        # by then the gateway keeps the end for whom it was meant
        await elsewhere.until(lambda frame: is_message("status")(frame) and not remaining(frame))
        running = await stage.start(await stage.queue("ann", "same"))
        await stage.agent.say(running, "executing", {"node": "1", "prompt_id": running.prompt_id})
        await stage.until(lambda: bool(stage.following._live.standing("ann", "same")))
        async with listening(stage, "bob") as bobs:
            assert await bobs.silent()
        async with stage.tab("ann", "same") as anns:
            told = await anns.until(is_message("executing"))
            told += await anns.until(is_message("executing"))
    ids = [frame["data"]["prompt_id"] for frame in told if is_message("executing")(frame)]
    assert ids == [ended.prompt_id, running.prompt_id]
