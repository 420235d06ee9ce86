"""Two prompts of one client on two workers, as clients hear of them that were made for one."""

from __future__ import annotations

import asyncio
from typing import Any

from scheduler.ledger import Ending, Outcome
from scheduler.states import Job
from tests.integration.gateway_prompt.stage import Stage, is_executing_nothing


async def begin(stage: Stage, client_id: str | None = "tab") -> Job:
    """Start a prompt, and let its worker say so."""
    job = await stage.start(await stage.queue(client_id=client_id))
    await stage.agent.say(job, "execution_start", {"prompt_id": job.prompt_id})
    return job


async def finish(stage: Stage, job: Job) -> None:
    await stage.agent.say(job, "executed", {"node": "2", "prompt_id": job.prompt_id})
    await stage.agent.end(job)
    await stage.settle(job)


def of_jobs(frames: list[Any]) -> list[tuple[str, str]]:
    """Type and prompt of what is about a prompt."""
    return [
        (frame["type"], frame["data"]["prompt_id"])
        for frame in frames
        if isinstance(frame, dict) and "prompt_id" in frame["data"]
    ]


def whole(job: Job) -> list[tuple[str, str]]:
    kinds = ("execution_start", "executed", "execution_success", "executing")
    return [(kind, job.prompt_id) for kind in kinds]


async def test_a_script_hears_of_its_second_prompt_when_the_first_has_ended(stage: Stage) -> None:
    async with stage.tab() as tab:
        first = await begin(stage)
        second = await begin(stage)
        await finish(stage, second)
        async with asyncio.timeout(5):
            # that it has ended can be read at once all the same
            while second.prompt_id not in await stage.get(f"/history/{second.prompt_id}"):
                continue
        third = await stage.queue()
        await finish(stage, first)
        frames = await tab.until_idle() + await tab.until_idle()
        frames += [await tab.next()]
    assert of_jobs(frames) == whole(first) + whole(second)
    # a count may make a client look for prompts: none that it has not heard of is gone by then
    counts = [count(frame) for frame in frames if frame["type"] == "status"]
    assert set(counts[:-1]) <= {1, 2}
    assert frames[-1]["type"] == "status"
    assert counts[-1] == 1
    assert third.prompt_id != second.prompt_id


async def test_a_page_that_declares_what_it_understands_hears_both_as_they_run(
    stage: Stage,
) -> None:
    async with stage.tab(previews=True) as tab:
        first = await begin(stage)
        second = await begin(stage)
        await finish(stage, second)
        frames = await tab.until_idle()
        await finish(stage, first)
        frames += await tab.until_idle()
    assert of_jobs(frames) == [whole(first)[0], *whole(second), *whole(first)[1:]]


async def test_who_comes_while_two_run_is_told_where_the_first_stands_then_the_other(
    stage: Stage,
) -> None:
    async with stage.tab():
        first = await begin(stage)
        second = await begin(stage)
        await stage.until(lambda: len(stage.services.hub.sockets) == 1)
        async with stage.tab() as late:
            await finish(stage, second)
            await finish(stage, first)
            frames = await late.until_idle() + await late.until_idle()
    assert of_jobs(frames) == whole(first) + whole(second)


async def test_prompts_of_two_clients_do_not_wait_for_each_other(stage: Stage) -> None:
    async with stage.tab() as tab, stage.tab(client_id="other") as other:
        await begin(stage)
        second = await begin(stage, "other")
        await finish(stage, second)
        frames = await other.until_idle()
        assert of_jobs(frames) == whole(second)
        frames = await tab.until(lambda frame: frame["type"] == "status" and count(frame) == 1)
        assert not any(map(is_executing_nothing, frames))


async def test_a_prompt_that_names_no_client_holds_up_nobodys(stage: Stage) -> None:
    async with stage.tab() as tab:
        loud = await begin(stage, None)
        own = await begin(stage)
        await finish(stage, own)
        frames = await tab.until_idle()
        assert of_jobs(frames) == [whole(loud)[0], *whole(own)]
        await finish(stage, loud)
        assert of_jobs(await tab.until_idle()) == whole(loud)[1:]


async def test_a_prompt_that_goes_back_to_the_queue_holds_up_nobody(stage: Stage) -> None:
    async with stage.tab() as tab:
        first = await begin(stage)
        second = await begin(stage)
        await stage.agent.end(first)
        given_back = Outcome(ending=Ending.RETURNED, result=b"{}")
        await stage.ledger.settle(first.id, first.attempt, given_back)
        await finish(stage, second)
        assert of_jobs(await tab.until_idle()) == [whole(first)[0], *whole(second)]
        record = await stage.ledger.find("ann", first.prompt_id)
        assert record is not None
        again = await stage.start(record)
        await stage.agent.say(again, "execution_start", {"prompt_id": again.prompt_id})
        await finish(stage, again)
        assert of_jobs(await tab.until_idle()) == whole(first)


def count(frame: Any) -> int:
    found: int = frame["data"]["status"]["exec_info"]["queue_remaining"]
    return found
