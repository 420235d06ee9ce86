"""Workers are taken out of service and back, restarted when idle, and found dead at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from config.settings import Cluster
from config.tls import trusting
from config.upkeep import ASKED, YES, drain_path, restart_path
from scheduler.fleet import PROTOCOL
from scheduler.live import PROTOCOL_HEADER
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState, Worker, WorkerState
from tests.integration.worker_agent.bed import (
    SETTINGS,
    TOKEN,
    Bed,
    SeeingLedger,
    fake_spec,
    make_agent,
    running,
)
from worker_agent.heartbeat import AgentReplaced

HELD: dict[str, Any] = {"1": {"class_type": "Held", "inputs": {}}}
NAME = "host-0"


async def worker(bed: Bed) -> Worker:
    return (await bed.ledger.pool()).workers[NAME]


async def until_detail(bed: Bed, detail: str, state: WorkerState) -> None:
    async def there() -> bool:
        found = (await bed.ledger.pool()).workers.get(NAME)
        return found is not None and (found.detail, found.state) == (detail, state)

    await bed.until(there)


async def test_a_drained_worker_finishes_its_job_stops_and_comes_back(
    bed: Bed, go: Callable[[], None]
) -> None:
    job = await bed.start(HELD)
    await bed.running(job.id)
    pid = bed.pid()
    await bed.ledger.override({drain_path(NAME): YES})
    await until_detail(bed, "draining", WorkerState.DOWN)
    assert bed.pid() == pid
    go()
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    await until_detail(bed, "drained", WorkerState.DOWN)
    process = bed.agent._supervisor.process(NAME)
    assert process is not None
    assert process.pid is None
    await bed.ledger.override({drain_path(NAME): None})
    await bed.ready()


async def test_a_drained_host_stays_so_over_its_agent_s_restart(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    await ledger.override({drain_path("host"): YES})
    specs = [fake_spec(tmp_path)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        await until_detail(Bed(ledger, agent, specs), "drained", WorkerState.DOWN)


async def test_a_worker_is_restarted_once_its_job_has_ended(
    bed: Bed, go: Callable[[], None]
) -> None:
    job = await bed.start(HELD)
    await bed.running(job.id)
    pid = bed.pid()
    await bed.ledger.override({restart_path(NAME): ASKED})
    await until_detail(bed, "restarting", WorkerState.DOWN)
    assert bed.pid() == pid
    go()
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED

    async def done() -> bool:
        return restart_path(NAME) not in (await bed.ledger.overrides())[1]

    await bed.until(done)
    await bed.ready()
    assert bed.pid() != pid


async def test_a_killed_worker_is_known_to_be_down_within_two_seconds(
    valkey_url: str,
    pool_name: str,
    ledger: RedisLedger,
    tmp_path: Path,
    go: Callable[[], None],
) -> None:
    seeing = SeeingLedger.connect(valkey_url, pool_name)
    specs = [fake_spec(tmp_path)]
    # as it is by default, at rest
    at_rest = {**SETTINGS, "agent": {"sample": 1.0}}
    agent = make_agent(seeing, tmp_path, specs, settings=at_rest)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        job = await bed.start(HELD)
        await bed.running(job.id)
        os.kill(bed.pid(), signal.SIGKILL)
        await bed.soon_queued(job.id)
        assert seeing.seen is WorkerState.DOWN
        await bed.ready()
        go()
        await bed.admit(job.id)
        assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
        assert len(await bed.settlements(job.id)) <= 2
    await seeing.close()


async def test_an_agent_whose_name_another_one_took_says_so_and_ends(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [fake_spec(tmp_path)]
    first, second = (make_agent(ledger, tmp_path / name, specs) for name in "ab")
    task = asyncio.create_task(first.run())
    await first.started.wait()
    bed = Bed(ledger, first, specs)
    await bed.ready()
    async with running(second):
        with pytest.raises(AgentReplaced, match=r"agent\.id"):
            await asyncio.wait_for(task, 30)


async def test_the_end_of_a_log_is_for_those_with_the_token(bed: Bed) -> None:
    bed.specs[0].log_path.write_text("one\ntwo\nthree\n")
    url = f"{bed.agent.url}/v1/workers/{NAME}/log"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers=headers, params={"tail": "2"}) as answer:
            assert (answer.status, await answer.text()) == (200, "two\nthree\n")
        async with session.get(url, headers=headers, params={"tail": "-1"}) as answer:
            assert answer.status == 400
        async with session.get(url.replace(NAME, "host-9"), headers=headers) as answer:
            assert answer.status == 404
        async with session.get(url) as answer:
            assert answer.status == 401


async def test_a_gateway_of_another_protocol_is_told_what_to_update(bed: Bed) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", PROTOCOL_HEADER: str(PROTOCOL + 1)}
    url = f"{bed.agent.url}/v1/health"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == 412
        assert "update vramgate" in await answer.text()


async def test_a_scheduler_of_another_protocol_gets_no_workers(bed: Bed) -> None:
    keys = bed.ledger.keys
    await bed.ledger.server.command("HSET", keys.leader, "protocol", PROTOCOL + 1)

    async def refused() -> bool:
        return "update vramgate on this host" in (await worker(bed)).detail

    await bed.until(refused)
    assert (await worker(bed)).state is WorkerState.DOWN


async def test_an_agent_whose_clock_is_off_by_an_hour_works_like_any_other(
    ledger: RedisLedger, tmp_path: Path, go: Callable[[], None]
) -> None:
    specs = [fake_spec(tmp_path)]
    agent = make_agent(ledger, tmp_path, specs, wall=lambda: time.time() - 3600)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        job = await bed.start(HELD)
        await bed.running(job.id)
        go()
        ended = await bed.until_ended(job.id)
    assert ended.state is JobState.SUCCEEDED
    assert ended.submitted_ms <= ended.started_ms <= ended.ended_ms
    assert replace(ended).run_seconds < 60


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for loopback that vouches for itself, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=agent", "-keyout", str(key)]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
async def test_an_encrypted_endpoint_is_reached_by_those_who_trust_its_certificate(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    encrypted = {**SETTINGS, "agent": {"tls_cert": str(cert), "tls_key": str(key)}}
    agent = make_agent(ledger, tmp_path, [fake_spec(tmp_path)], settings=encrypted)
    async with running(agent):
        assert agent.url.startswith("https://127.0.0.1:")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        trusted = trusting(Cluster(token=TOKEN, ca=cert))
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{agent.url}/v1/health", ssl=trusted) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{agent.url}/v1/health", ssl=trusting(Cluster(token=TOKEN)))
