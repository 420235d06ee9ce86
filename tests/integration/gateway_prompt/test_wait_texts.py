"""Why a prompt waits, as progress text: who reads it, on which node, and when it changes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from scheduler.ledger import Ending, Outcome, Trust
from scheduler.states import Job, WaitReason
from tests.integration.gateway_prompt.stage import Stage, Tab, graph, is_executing_nothing, kinds

#: layout of a text without the prompt's id, on node 2, the small graph's output
ON_NODE_2 = b"\0\0\0\3\0\0\0\x012"


async def text(tab: Tab) -> str:
    """The next text on node 2, whatever else comes."""
    frames = await tab.until(lambda frame: isinstance(frame, bytes))
    assert frames[-1].startswith(ON_NODE_2)
    return bytes(frames[-1][len(ON_NODE_2) :]).decode()


async def text_with(tab: Tab, words: str) -> str:
    """The first text with these words: two changes may be told together or one by one."""
    while words not in (told := await text(tab)):
        pass
    return told


async def within(tab: Tab, seconds: float) -> list[Any]:
    """All frames of a while."""
    frames = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                frames.append(await tab.next())
    return frames


async def explain(stage: Stage, job: Job, detail: str) -> None:
    waits = {job.id: (WaitReason.NO_HEADROOM, detail, "")}
    await stage.ledger.explain(stage.epoch, waits)


async def test_a_frontend_reads_place_reason_and_forecast_until_its_prompt_has_run(
    stage: Stage,
) -> None:
    async with stage.tab(previews=True) as tab:
        job = await stage.queue()
        assert await text(tab) == "next of your prompts"
        await explain(stage, job, "needs 14.0 GiB, 12.1 GiB free")
        now_ms = int(stage.services.clock() * 1000)
        starts = {job.id: (now_ms + 20 * 60_000, now_ms + 30 * 60_000)}
        await stage.ledger.foresee(stage.epoch, starts, Trust())
        told = await text_with(tab, "starts in")
        assert "waiting for GPU memory (needs 14.0 GiB, 12.1 GiB free)" in told
        assert told.endswith("starts in about 20 min")
        running = await stage.start(job)
        assert (await text(tab)).startswith("started after ")
        await stage.agent.end(running)
        await stage.settle(running)
        frames = await tab.until_idle()
    last = next(frame for frame in frames if isinstance(frame, bytes))
    assert last[len(ON_NODE_2) :].startswith(b"waited ")
    assert kinds(frames).index("binary") < kinds(frames).index("execution_success")


async def test_a_script_that_declared_nothing_and_other_users_read_none_of_it(
    stage: Stage,
) -> None:
    async with (
        stage.tab("ann", "tab", previews=True) as anns,
        stage.tab("ann", "tab") as script,
        stage.tab("ann", "other", previews=True) as other,
        stage.tab("bob", "tab", previews=True) as bobs,
    ):
        job = await stage.queue()
        await text(anns)
        running = await stage.start(job)
        await stage.agent.end(running)
        await stage.settle(running)
        await anns.until_idle()
        assert "binary" not in kinds(await script.until_idle())
        assert "binary" not in kinds(await other.until(_is_idle))
        assert await bobs.silent()


async def test_the_prompt_behind_a_running_one_says_nothing_on_the_same_node(
    stage: Stage,
) -> None:
    running = await stage.start(await stage.queue())
    async with stage.tab(previews=True) as tab:
        behind = await stage.queue()
        await explain(stage, behind, "needs more")
        assert "binary" not in kinds(await within(tab, 4.5))
        await stage.agent.end(running)
        await stage.settle(running)
        frames = await tab.until_idle()
        if "binary" not in kinds(frames):  # told a moment before that end was, or later
            frames += await tab.until(lambda frame: isinstance(frame, bytes))
        said = next(frame for frame in frames if isinstance(frame, bytes))
        assert said.startswith(ON_NODE_2)
        assert b"waiting for GPU memory" in said


async def test_a_prompt_on_other_nodes_is_told_of_beside_the_running_one(stage: Stage) -> None:
    running = await stage.start(await stage.queue())
    async with stage.tab(previews=True) as tab:
        await stage.queue(prompt={"7" + id_: _moved(node) for id_, node in graph().items()})
        frames = await tab.until(lambda frame: isinstance(frame, bytes))
        assert frames[-1] == b"\0\0\0\3\0\0\0\x0272next of your prompts"
        await stage.agent.end(running)
        await stage.settle(running)


async def test_a_page_that_is_loaded_anew_reads_it_again(stage: Stage) -> None:
    async with stage.tab(previews=True) as first:
        await stage.queue()
        assert await text(first) == "next of your prompts"
        async with stage.tab(previews=True) as second:
            assert await text(second) == "next of your prompts"


async def test_a_retry_after_running_out_of_memory_is_told(stage: Stage) -> None:
    running = await stage.start(await stage.queue())
    async with stage.tab(previews=True) as tab:
        await stage.agent.end(running)
        outcome = Outcome(ending=Ending.OOM, result=b"{}", retry_bytes=2**34)
        await stage.ledger.settle(running.id, running.attempt, outcome)
        assert (await text(tab)).startswith("ran out of memory, trying again with more · ")


async def test_a_cancelled_prompt_leaves_no_forecast_standing(stage: Stage) -> None:
    async with stage.tab(previews=True) as tab:
        job = await stage.queue()
        await text(tab)
        await stage.post("/queue", {"delete": [job.prompt_id]})
        assert await text(tab) == "cancelled"


def _moved(fields: dict[str, Any]) -> dict[str, Any]:
    """A node of the small graph whose links point at ids that begin with 7."""
    inputs = {
        name: ["7" + value[0], value[1]] if isinstance(value, list) else value
        for name, value in fields["inputs"].items()
    }
    return {**fields, "inputs": inputs}


def _is_idle(frame: Any) -> bool:
    return is_executing_nothing(frame) or (
        isinstance(frame, dict)
        and frame["type"] == "status"
        and frame["data"]["status"]["exec_info"]["queue_remaining"] == 0
    )
