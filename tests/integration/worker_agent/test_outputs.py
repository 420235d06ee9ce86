"""What a worker embeds in its files is the user's before anybody hears of them."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState, WorkerState
from tests.integration.worker_agent.bed import SETTINGS, TOKEN, Bed, fake_spec, make_agent, running

GRAPH = {"1": {"class_type": "SaveGraph", "inputs": {"filename_prefix": "cat/p"}}}


@pytest.mark.parametrize("distant", [False, True])
async def test_a_file_says_what_its_user_posted_wherever_it_lies(
    ledger: RedisLedger, tmp_path: Path, distant: bool
) -> None:
    specs = [fake_spec(tmp_path, distant=distant)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        job = await bed.start(GRAPH)
        assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
        posted = (await bed.seen())["prompts"][0]["prompt"]
    made = tmp_path / "worker0" / "output" / "vg/ann/cat/p_00001_.png"
    assert json.loads(made.read_text()) == GRAPH
    assert len(made.read_text()) == len(json.dumps(posted))


async def test_a_file_that_cannot_be_changed_is_handed_out_as_it_is(
    bed: Bed, tmp_path: Path
) -> None:
    # a link that leads out of the worker's folder is not followed
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = tmp_path / "worker0" / "output" / "vg" / "ann"
    folder.mkdir(parents=True)
    (folder / "cat").symlink_to(outside)
    job = await bed.start(GRAPH)
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    assert "vg/ann/" in (outside / "p_00001_.png").read_text()


async def test_a_picture_of_a_worker_that_is_down_is_handed_out_whole_never_as_another(
    bed: Bed,
) -> None:
    job = await bed.start(GRAPH)
    await bed.until_ended(job.id)
    process = bed.agent._supervisor.process("host-0")
    assert process is not None
    await process.stop()
    url = f"{bed.agent.url}/v1/workers/host-0/file"
    query = {"type": "output", "subfolder": "vg/ann/cat", "filename": "p_00001_.png"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(url, params=query) as reply:
            assert reply.status == 200
        async with session.get(url, params={**query, "preview": "webp;90"}) as reply:
            assert reply.status == 502  # the gateway draws it


@pytest.mark.parametrize("distant", [False, True])
async def test_a_file_made_outside_of_the_users_folder_is_not_the_next_users(
    ledger: RedisLedger, tmp_path: Path, distant: bool
) -> None:
    specs = [fake_spec(tmp_path, distant=distant)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        for user in ("ann", "bob", "ann"):
            graph = {"1": {"class_type": "SaveSame", "inputs": {"text": f"of {user}"}}}
            job = await bed.start(graph, user)
            assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
            (image,) = (await bed.result(job.id))["outputs"]["1"]["images"]
            assert image == {"filename": "same.txt", "subfolder": "", "type": "output"}
        for user in ("ann", "bob"):
            record = await ledger.file(user, "output", "", "same.txt")
            assert record is not None
            where = (record.worker_subfolder, record.worker_filename)
            made = tmp_path.joinpath("worker0", "output", *where)
            assert made.read_text() == f"of {user}"


async def test_a_planted_link_hands_out_nothing(bed: Bed, tmp_path: Path) -> None:
    job = await bed.start(GRAPH)
    await bed.until_ended(job.id)
    (tmp_path / "secret").write_text("of the host")
    link = tmp_path / "worker0" / "output" / "vg" / "ann" / "x.png"
    link.symlink_to(tmp_path / "secret")
    url = f"{bed.agent.url}/v1/workers/host-0/file"
    query = {"type": "output", "subfolder": "vg/ann", "filename": "x.png"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for more in ({}, {"preview": "webp;90"}, {"channel": "rgb"}):
            async with session.get(url, params={**query, **more}) as reply:
                assert reply.status == 404
        async with session.delete(url, params=query) as reply:
            assert reply.status == 404
    assert (tmp_path / "secret").read_text() == "of the host"


async def test_a_worker_whose_disk_has_no_room_takes_no_jobs(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [fake_spec(tmp_path)]
    settings = {**SETTINGS, "files": {"min_free": "1000TiB"}}
    (tmp_path / "worker0" / "output").mkdir(parents=True)
    agent = make_agent(ledger, tmp_path, specs, settings=settings)
    async with running(agent):
        bed = Bed(ledger, agent, specs)

        async def is_up() -> bool:
            told = "host-0" in (await ledger.pool()).workers
            return told and agent._drivers["host-0"].up

        await bed.until(is_up)
        assert (await ledger.pool()).workers["host-0"].state is WorkerState.DOWN
