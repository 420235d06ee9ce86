"""What an agent makes of the probe in its worker, and what becomes of jobs when that fails."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from scheduler.live import LiveFrame
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job, JobState, MemoryLimit, Worker
from tests.integration.worker_agent.bed import (
    SETTINGS,
    TOKEN,
    Bed,
    fake_spec,
    make_agent,
    running,
)
from tests.integration.worker_agent.test_run import SAVE, sleep
from worker_agent.gpus import CONTEXT_BYTES
from worker_agent.probe_pack import probe_token

GIB = 2**30
#: what a prompt took that ran a while ago and left its model
FIGURES = {
    "allocated": 3 * GIB,
    "reserved": 5 * GIB,
    "peak_allocated": 4 * GIB,
    "peak_reserved": 5 * GIB,
}


def loaded(*files: str, share: float = 1.0) -> list[dict[str, Any]]:
    return [{"name": file, "bytes": GIB, "loaded_bytes": int(share * GIB)} for file in files]


@pytest.fixture
async def probed(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Bed]:
    """An agent with one fake worker that has a probe."""
    specs = [fake_spec(tmp_path, probe=True)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        yield bed


async def worker(bed: Bed) -> Worker:
    return (await bed.ledger.pool()).workers["host-0"]


async def run(bed: Bed, bytes_: int = 0, **changes: Any) -> Job:
    job = await bed.submit({"1": SAVE}, **changes)
    await bed.admit(job.id, bytes_=bytes_)
    return await bed.until_ended(job.id)


async def limits(bed: Bed) -> list[Any]:
    return [row[1:3] for row in (await bed.probe())["asked"] if row[0] == "limit"]


async def test_a_worker_with_a_probe_says_so_and_what_keeps_it_within_a_limit(probed: Bed) -> None:
    seen = await worker(probed)
    assert seen.has_probe
    assert seen.limit is MemoryLimit.ENFORCED
    assert (await probed.probe())["sid"]


async def test_a_worker_without_one_is_observed(bed: Bed) -> None:
    seen = await worker(bed)
    assert not seen.has_probe
    assert seen.limit is MemoryLimit.OBSERVED


async def test_a_worker_is_told_what_its_next_job_was_promised_and_told_once(probed: Bed) -> None:
    await run(probed, 6 * GIB)
    await run(probed, 6 * GIB)
    await run(probed, 9 * GIB)
    assert await limits(probed) == [[6 * GIB, CONTEXT_BYTES], [9 * GIB, CONTEXT_BYTES]]


async def test_a_job_that_was_promised_nothing_in_bytes_lifts_the_limit(probed: Bed) -> None:
    await run(probed)
    assert await limits(probed) == []
    await run(probed, 6 * GIB)
    await run(probed)
    assert [bytes_ for bytes_, _ in await limits(probed)] == [6 * GIB, None]


async def test_a_peak_is_what_the_probe_measured_and_the_context(probed: Bed) -> None:
    await probed.probe(figures=FIGURES, after={"reserved": 3 * GIB, "context": GIB})
    ended = await run(probed, 8 * GIB)
    assert ended.peak_bytes == 5 * GIB + GIB
    assert ended.clean
    # measured now: the next job's limit counts with it
    await run(probed, 8 * GIB)
    assert (await limits(probed))[-1] == [8 * GIB, GIB]


@pytest.mark.parametrize("tells", [True, False])
async def test_what_a_job_needed_and_left_is_told_apart_from_what_it_took(
    probed: Bed, tells: bool
) -> None:
    after = {"reserved": 3 * GIB, "context": GIB}
    # older probes tell their records on a request of its own only
    await probed.probe(figures=FIGURES, after=after, tells=tells)
    seen = (await run(probed, 8 * GIB)).probed
    assert seen is not None
    assert seen.needed_bytes == 4 * GIB + GIB
    assert seen.left_bytes == 3 * GIB + GIB
    assert seen.limit_bytes == 8 * GIB
    assert (seen.loads, seen.load_seconds, seen.fallback) == (2, 1.5, "tiled")
    assert seen.partial


A, B = "checkpoints/a.safetensors", "checkpoints/in/b.safetensors"


async def test_a_peak_on_a_warm_worker_is_the_jobs_alone_unless_others_models_are_loaded(
    probed: Bed,
) -> None:
    await probed.probe(figures={**FIGURES, "models": loaded("a.safetensors")})
    assert (await run(probed, models=(A,))).clean
    assert (await run(probed, models=(A,))).clean
    await probed.probe(figures={**FIGURES, "models": loaded("a.safetensors", "in/b.safetensors")})
    assert not (await run(probed, models=(B,))).clean
    assert (await worker(probed)).models == (B, A)
    # of neither alone, but of both together
    assert (await run(probed, models=(A, B))).clean


async def test_models_that_made_room_are_no_longer_told_as_loaded(probed: Bed) -> None:
    await probed.probe(figures={**FIGURES, "models": loaded("a.safetensors")})
    await run(probed, models=(A,))
    half = [*loaded("in/b.safetensors"), *loaded("a.safetensors", share=0.4)]
    await probed.probe(figures={**FIGURES, "models": half})
    await run(probed, models=(B,))
    assert (await worker(probed)).models == (B,)


async def test_a_model_whose_file_nobody_knows_is_told_while_something_nameless_is_loaded(
    probed: Bed,
) -> None:
    await probed.probe(figures={**FIGURES, "models": loaded("Flux")})
    await run(probed, models=("unet/a.gguf",))
    assert (await worker(probed)).models == ("unet/a.gguf",)
    await probed.probe(figures={**FIGURES, "models": loaded("in/b.safetensors")})
    await run(probed, models=(B,))
    assert (await worker(probed)).models == (B,)


async def test_comfyui_is_shown_what_its_bookings_need_unless_that_was_too_much(
    probed: Bed,
) -> None:
    await run(probed, 6 * GIB)
    (shown,) = [row for row in (await probed.probe())["asked"] if row[0] == "limit"]
    assert shown[1] == 6 * GIB
    assert shown[3] > 6 * GIB


async def test_a_probe_that_fails_stops_no_job_and_the_worker_is_observed(probed: Bed) -> None:
    await probed.probe(broken=True, figures=FIGURES)
    ended = await run(probed, 6 * GIB)
    assert ended.state is JobState.SUCCEEDED
    assert ended.peak_bytes == 0
    assert (await worker(probed)).limit is MemoryLimit.OBSERVED
    await probed.probe(broken=False)
    await run(probed, 6 * GIB)
    assert (await worker(probed)).limit is MemoryLimit.ENFORCED


async def test_a_release_goes_through_the_probe(probed: Bed) -> None:
    await run(probed)
    epoch = await probed.ledger.lead("test", 60_000)
    assert epoch is not None
    assert await probed.ledger.release(epoch, "host-0")
    await probed.ready()
    assert ["release"] in (await probed.probe())["asked"]
    assert (await probed.seen())["freed"] == 0
    assert (await worker(probed)).models == ()


async def test_a_release_without_an_answer_of_the_probe_is_asked_of_comfyui(probed: Bed) -> None:
    await run(probed)
    await probed.probe(broken=True)
    epoch = await probed.ledger.lead("test", 60_000)
    assert epoch is not None
    assert await probed.ledger.release(epoch, "host-0")
    await probed.ready()
    assert (await probed.seen())["freed"] == 1


async def test_what_the_probe_says_reaches_no_client(probed: Bed) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{probed.agent.url}/v1/live", headers=headers) as socket,
    ):
        await socket.send_json({"subscribe": ["ann"]})
        await probed.watched()
        await probed.start({**sleep(0.2), "2": SAVE})
        kinds = []
        while True:
            received = await asyncio.wait_for(socket.receive(), 30)
            if received.type is not aiohttp.WSMsgType.TEXT:
                continue
            frame = msgspec.json.decode(received.data, type=LiveFrame)
            if frame.end:
                break
            assert frame.message is not None
            kinds.append(frame.message["type"])
    assert "executed" in kinds
    assert "vramgate" not in kinds
    assert (await probed.probe())["sent"]


async def test_a_worker_that_starts_anew_is_told_again(probed: Bed) -> None:
    await run(probed, 6 * GIB)
    before = await probed.probe()
    os.kill(probed.pid(), signal.SIGKILL)

    async def is_back() -> bool:
        try:
            return (
                bool((await probed.probe())["sid"])
                and (await probed.probe())["boot"] != before["boot"]
            )
        except aiohttp.ClientError:
            return False

    await probed.until(is_back)
    await run(probed, 6 * GIB)
    assert await limits(probed) == [[6 * GIB, CONTEXT_BYTES]]


async def test_an_admin_may_leave_workers_without_limits(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [fake_spec(tmp_path, probe=True)]
    settings = {**SETTINGS, "probe": {"limit": "observed"}}
    agent = make_agent(ledger, tmp_path, specs, None, settings)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        await bed.probe(figures=FIGURES)
        ended = await run(bed, 6 * GIB)
        assert await limits(bed) == []
        assert ended.peak_bytes == 5 * GIB + CONTEXT_BYTES
        assert (await worker(bed)).limit is MemoryLimit.OBSERVED
        assert (await worker(bed)).has_probe


@pytest.mark.parametrize("right", [True, False])
async def test_the_probe_of_a_worker_that_somebody_else_runs_is_used_with_its_token(
    ledger: RedisLedger, tmp_path: Path, right: bool
) -> None:
    spec = fake_spec(tmp_path, 7, probe=True)
    keeper = make_agent(ledger, tmp_path / "keeper", [spec])
    process = keeper._supervisor.process(spec.id)
    assert process is not None
    process.start()
    token = probe_token(spec.id, TOKEN) if right else "some-other-token-entirely"
    place = {"url": spec.url, "probe_token": token}
    settings = {**SETTINGS, "agent": {"sample": 0.05, "workers": [place]}}
    agent = make_agent(ledger, tmp_path, [], None, settings)
    try:
        async with running(agent):
            bed = Bed(ledger, agent, [spec])
            await bed.ready()
            assert (await worker(bed)).has_probe is right
            assert (await run(bed, GIB)).state is JobState.SUCCEEDED
            assert len(await limits(bed)) == right
    finally:
        await process.stop()


async def told(bed: Bed, enough: int) -> list[dict[str, Any]]:
    """Records that reach the recorder."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        for batch in await bed.ledger.told("test", 100, 100):
            assert (batch.told.agent, batch.told.worker) == ("host", "host-0")
            found.extend(json.loads(batch.told.records))
            await bed.ledger.stored([batch.id])
        return len(found) >= enough

    await bed.until(there)
    return found


async def test_what_a_probe_records_reaches_the_recorder_with_whose_it_is(probed: Bed) -> None:
    job = await run(probed)
    records = await told(probed, 4)
    assert {record["kind"] for record in records} == {"model", "sample", "node", "prompt"}
    assert {(record["job"], record["attempt"], record["user"]) for record in records} == {
        (job.id, 1, "ann")
    }


async def test_what_the_socket_missed_is_asked_for_and_told_once(probed: Bed) -> None:
    await probed.probe(mute=True)
    await run(probed)
    await probed.probe(mute=False)
    await run(probed)
    records = await told(probed, 8)
    assert [record["seq"] for record in records] == list(range(1, 9))
    await run(probed)
    assert all(record["seq"] > 8 for record in (await probed.probe())["ring"])


@pytest.mark.parametrize(
    ("prompt", "status", "answer"),
    [
        ({"1": SAVE, "2": {"class_type": "Fail", "inputs": {}}}, 200, {"refused": ["2"]}),
        ({"1": SAVE}, 200, {"refused": []}),
        ({"1": {"class_type": "Nobodys", "inputs": {}}}, 422, None),
        (["1"], 400, None),
    ],
)
async def test_a_gateway_learns_which_nodes_a_worker_refuses_and_not_its_words(
    probed: Bed, prompt: Any, status: int, answer: Any
) -> None:
    url = f"{probed.agent.url}/v1/workers/host-0/validate"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={"prompt": prompt}) as reply:
            assert reply.status == 401
        async with session.post(url, json={"prompt": prompt}, headers=headers) as reply:
            assert reply.status == status
            assert "/srv" not in await reply.text()
            if answer is not None:
                assert await reply.json() == answer
    assert (await probed.seen())["prompts"] == []


async def test_without_a_probe_nobody_judges(bed: Bed) -> None:
    url = f"{bed.agent.url}/v1/workers/host-0/validate"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"prompt": {"1": SAVE}}, headers=headers) as reply,
    ):
        assert reply.status == 404


async def test_a_probe_that_fails_at_first_keeps_no_worker_from_its_work(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [fake_spec(tmp_path, probe=True)]
    env = {**specs[0].env, "FAKE_PROBE_BROKEN": "1"}
    agent = make_agent(ledger, tmp_path, [replace(specs[0], env=env)])
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        assert not (await worker(bed)).has_probe
        assert (await run(bed, 6 * GIB)).state is JobState.SUCCEEDED
        await bed.probe(broken=False)

        async def is_back() -> bool:
            return (await worker(bed)).has_probe

        await bed.until(is_back)


async def test_a_gateway_gets_a_picture_that_a_probe_keeps(probed: Bed) -> None:
    base = f"{probed.agent.url}/v1/workers"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/host-0/capture/kept-picture") as reply:
            assert reply.status == 401
        async with session.get(f"{base}/host-0/capture/kept-picture", headers=headers) as reply:
            assert (reply.status, reply.content_type) == (200, "image/jpeg")
            assert await reply.read() == b"\xff\xd8jpeg"
        gone = (
            "host-0/capture/gone-picture",
            "host-0/capture/..%2frecords",
            "x/capture/kept-picture",
        )
        for path in gone:
            async with session.get(f"{base}/{path}", headers=headers) as reply:
                assert reply.status == 404, path
