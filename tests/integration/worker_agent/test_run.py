"""A prompt through agent, worker and ledger."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import aiohttp
import msgspec

from scheduler.live import LiveFrame, unpack_binary
from scheduler.states import FailReason, JobState
from tests.integration.worker_agent.bed import TOKEN, Bed

SAVE: dict[str, Any] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "cat/pic"}}


def sleep(seconds: float, class_type: str = "Sleep") -> dict[str, Any]:
    return {"1": {"class_type": class_type, "inputs": {"seconds": seconds}}}


async def test_a_prompt_ends_with_its_outputs_in_the_users_names(bed: Bed) -> None:
    job = await bed.start({"1": SAVE})
    ended = await bed.until_ended(job.id)
    assert ended.state is JobState.SUCCEEDED
    result = await bed.result(job.id)
    image = {"filename": "pic_00001_.png", "subfolder": "cat", "type": "output"}
    assert result["outputs"] == {"1": {"images": [image]}}
    assert result["status"]["completed"] is True
    assert result["status"]["messages"][-1][1]["prompt_id"] == job.prompt_id
    assert [row[0] for row in await bed.frames(job.id)] == ["execution_success"]
    record = await bed.ledger.file("ann", "output", "cat", "pic_00001_.png")
    assert record is not None
    assert record.worker_subfolder == "vg/ann/cat"


async def test_the_worker_sees_its_own_names_and_nothing_of_the_queue(bed: Bed) -> None:
    extra = {
        "extra_data": {"vramgate": {"lane": "batch"}, "extra_pnginfo": {"a": 1}},
        "secrets": {"api_key_comfy_org": "only for the worker"},
        "outputs": ["1"],
    }
    job = await bed.start({"1": SAVE}, body=extra)
    await bed.until_ended(job.id)
    body = (await bed.seen())["prompts"][0]
    assert body["prompt_id"] == job.id
    assert body["client_id"] != "tab-1"
    assert body["prompt"]["1"]["inputs"]["filename_prefix"] == "vg/ann/cat/pic"
    assert body["extra_data"] == {
        "extra_pnginfo": {"a": 1},
        "api_key_comfy_org": "only for the worker",
    }
    assert body["partial_execution_targets"] == ["1"]
    assert "number" not in body


async def test_live_frames_come_in_order_and_end_before_the_books_are_closed(bed: Bed) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{bed.agent.url}/v1/live", headers=headers) as socket,
    ):
        await socket.send_json({"subscribe": ["ann"]})
        await bed.watched()
        job = await bed.start({**sleep(0.2), "2": SAVE})
        kinds: list[str] = []
        values: list[int] = []
        while True:
            received = await asyncio.wait_for(socket.receive(), 30)
            if received.type is aiohttp.WSMsgType.BINARY:
                header, payload = unpack_binary(received.data)
                assert header.metadata is not None
                assert header.metadata["prompt_id"] == job.prompt_id
                values.append(int(bytes(payload).removeprefix(b"jpeg")))
                continue
            frame = msgspec.json.decode(received.data, type=LiveFrame)
            assert job.id not in str(frame.message)
            if frame.end:
                break
            assert frame.message is not None
            kinds.append(frame.message["type"])
            if kinds[-1] == "executed":
                image = frame.message["data"]["output"]["images"][0]
                assert image["subfolder"] == "cat"
        assert values == sorted(values)
        assert values
        assert kinds[:3] == ["execution_start", "execution_cached", "executing"]
        assert kinds[-1] == "executed"
        assert "status" not in kinds
        await bed.until_ended(job.id)


async def test_another_users_frames_do_not_reach_a_subscriber(bed: Bed) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{bed.agent.url}/v1/live", headers=headers) as socket,
    ):
        await socket.send_json({"subscribe": ["ann"]})
        await bed.watched()
        theirs = await bed.start(sleep(0.1), user="bob")
        await bed.until_ended(theirs.id)
        mine = await bed.start({"1": SAVE})
        received = await asyncio.wait_for(socket.receive(), 30)
        assert msgspec.json.decode(received.data, type=LiveFrame).job == mine.id


async def test_whoever_subscribes_late_is_told_where_the_job_stands(bed: Bed) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{bed.agent.url}/v1/live"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, headers=headers) as early:
            await early.send_json({"subscribe": ["ann"]})
            await bed.watched()
            job = await bed.start(sleep(60))
            while '"executing"' not in str((await early.receive(30)).data):
                pass
        socket = await session.ws_connect(url, headers=headers)
        await socket.send_json({"subscribe": ["ann"]})
        received = await asyncio.wait_for(socket.receive(), 30)
        frame = msgspec.json.decode(received.data, type=LiveFrame)
        assert frame.replay
        assert frame.message is not None
        assert frame.message["type"] == "executing"
    await bed.ledger.cancel("ann", job.id)
    await bed.until_ended(job.id)


async def test_a_cancelled_prompt_is_interrupted_once(bed: Bed) -> None:
    job = await bed.start(sleep(30))
    await bed.running(job.id)
    await bed.ledger.cancel("ann", job.id)
    ended = await bed.until_ended(job.id)
    assert ended.state is JobState.CANCELLED
    assert [row[0] for row in await bed.frames(job.id)] == ["execution_interrupted"]
    assert (await bed.seen())["interrupts"] == [job.id]


async def test_a_failing_node_fails_the_job_without_naming_host_paths(bed: Bed) -> None:
    job = await bed.start({"1": {"class_type": "Fail", "inputs": {}}})
    ended = await bed.until_ended(job.id)
    assert ended.state is JobState.FAILED
    assert ended.reason is FailReason.NODE_ERROR
    frames = await bed.frames(job.id)
    assert frames[0][0] == "execution_error"
    assert "/srv" not in str(frames)
    assert "/srv" not in str(await bed.result(job.id))


async def test_a_prompt_the_worker_refuses_fails_with_its_words(bed: Bed) -> None:
    job = await bed.start({"7": {"class_type": "Nowhere", "inputs": {}}})
    ended = await bed.until_ended(job.id)
    assert ended.reason is FailReason.NODE_ERROR
    (kind, data), *_ = await bed.frames(job.id)
    assert kind == "execution_error"
    assert data["node_id"] == "7"
    assert data["exception_message"] == "Value not in list: m: 'a'"


async def test_out_of_memory_sends_the_job_back_with_a_larger_need(bed: Bed) -> None:
    job = await bed.start({"1": {"class_type": "Oom", "inputs": {}}})
    queued = await bed.until_state(job.id, JobState.QUEUED)
    assert queued.ooms == 1
    assert queued.need_bytes >= 256 * 2**20
    await bed.admit(job.id)
    ended = await bed.until_ended(job.id)
    assert ended.reason is FailReason.OOM
    first, second = (await bed.seen())["prompts"]
    assert first["prompt_id"] == job.id
    assert second["prompt_id"] != job.id
    result = await bed.result(job.id)
    assert second["prompt_id"] not in str(result)


async def test_a_killed_worker_loses_its_job_within_two_seconds(bed: Bed) -> None:
    job = await bed.start(sleep(30))
    await bed.running(job.id)
    os.kill(bed.pid(), signal.SIGKILL)
    queued = await bed.soon_queued(job.id)
    assert queued.losses == 1
    await bed.ready()
    await bed.admit(job.id)
    await bed.until_state(job.id, JobState.RUNNING)
    await bed.ledger.cancel("ann", job.id)
    await bed.until_ended(job.id)


async def test_an_attempt_that_is_no_longer_ours_is_interrupted(bed: Bed) -> None:
    job = await bed.start(sleep(30))
    await bed.running(job.id)
    # as if the reaper had closed it while this agent was cut off
    key = bed.ledger.keys("job", job.id)
    await bed.ledger.server.command("HSET", key, "attempt", 2)

    async def interrupted() -> bool:
        return job.id in (await bed.seen())["interrupts"]

    await bed.until(interrupted)


async def test_a_release_frees_the_worker_and_makes_it_ready_again(bed: Bed) -> None:
    job = await bed.start({"1": SAVE})
    await bed.until_ended(job.id)
    epoch = await bed.ledger.lead("test", 60_000)
    assert epoch is not None

    async def has_models() -> bool:
        return (await bed.ledger.pool()).workers["host-0"].models == job.models

    await bed.until(has_models)
    assert await bed.ledger.release(epoch, "host-0")
    await bed.ready()
    assert (await bed.seen())["freed"] == 1

    async def no_models() -> bool:
        return (await bed.ledger.pool()).workers["host-0"].models == ()

    await bed.until(no_models)
