"""Pictures that a prompt passes through a worker's memory (the Krita plugin's way)."""

from __future__ import annotations

from dataclasses import replace

import aiohttp

from scheduler.states import FailReason, InputFile, JobState
from scheduler.workflow.passed_pictures import PASSED, pinned_name
from tests.integration.worker_agent.bed import TOKEN, Bed, uploaded
from tests.integration.worker_agent.test_inputs import Gateway
from tests.integration.worker_agent.test_inputs import gateway as gateway

AUTH = {"Authorization": f"Bearer {TOKEN}"}
GRAPH = {
    "1": {"class_type": "ETN_LoadImageCache", "inputs": {"id": "sketch"}},
    "2": {"class_type": "ETN_SaveImageCache", "inputs": {}},
}


def sent(picture: str, content: bytes) -> InputFile:
    return replace(uploaded("x", content), path=pinned_name(picture))


async def left(bed: Bed, job_id: str) -> str:
    result = await bed.result(job_id)
    picture: str = result["outputs"]["2"]["images"][0]["id"]
    return picture


async def test_a_picture_that_was_sent_is_in_the_workers_memory_when_its_prompt_runs(
    bed: Bed, gateway: Gateway
) -> None:
    file = sent("sketch", b"lines")
    gateway.content[file.sha256] = b"lines"
    job = await bed.start(GRAPH, inputs=(file,))
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    picture = await left(bed, job.id)
    url = f"{bed.agent.url}/v1/workers/host-0/file"
    query = {"type": PASSED, "subfolder": "", "filename": picture}
    async with aiohttp.ClientSession() as session:
        async with session.get(url, params=query, headers=AUTH) as reply:
            assert await reply.read() == b"lines seen"
        climbing = query | {"filename": "../../../queue"}
        async with session.get(url, params=climbing, headers=AUTH) as reply:
            assert reply.status == 404


async def test_a_picture_that_a_node_left_is_its_users_alone(bed: Bed, gateway: Gateway) -> None:
    file = sent("sketch", b"lines")
    gateway.content[file.sha256] = b"lines"
    job = await bed.start(GRAPH, inputs=(file,))
    await bed.until_ended(job.id)
    picture = await left(bed, job.id)
    record = await bed.ledger.file("ann", PASSED, "", picture)
    assert record is not None
    assert record.worker == "host-0"
    assert await bed.ledger.file("bob", PASSED, "", picture) is None


async def test_one_id_of_two_users_means_two_pictures(bed: Bed, gateway: Gateway) -> None:
    pictures = {}
    for user in ("ann", "bob"):
        file = sent("sketch", user.encode())
        gateway.content[file.sha256] = user.encode()
        job = await bed.start(GRAPH, user, inputs=(file,))
        await bed.until_ended(job.id)
        pictures[user] = await left(bed, job.id)
    read = [body["prompt"]["1"]["inputs"]["id"] for body in (await bed.seen())["prompts"]]
    assert len(set(read)) == 2
    assert pictures["ann"] != pictures["bob"]


async def test_a_picture_that_nobody_sent_fails_the_prompt_before_the_worker_sees_it(
    bed: Bed,
) -> None:
    job = await bed.start(GRAPH)
    ended = await bed.until_ended(job.id)
    assert ended.reason is FailReason.NODE_ERROR
    assert "send it again" in (await bed.frames(job.id))[0][1]["exception_message"]
    assert (await bed.seen())["prompts"] == []
