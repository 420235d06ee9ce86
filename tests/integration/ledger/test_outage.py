"""A server that dies, restarts, or is never there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cli.valkey import EmbeddedValkey
from scheduler.ledger import LedgerUnavailable, Submitted
from scheduler.redis_ledger import RedisLedger
from scheduler.states import NewJob
from tests.factories import new_job
from tests.integration.ledger.conftest import Studio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "valkey") as started:
        yield started


@pytest.fixture
async def own_ledger(server: EmbeddedValkey) -> AsyncIterator[RedisLedger]:
    connected = RedisLedger.connect(server.url, "p", patience_s=20)
    yield connected
    await connected.close()


def kill(server: EmbeddedValkey) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


async def test_calls_wait_for_a_server_that_comes_back(
    server: EmbeddedValkey, own_ledger: RedisLedger
) -> None:
    job = new_job()
    await own_ledger.submit(job, b"{}", max_queued=None)
    kill(server)
    calls = [
        asyncio.create_task(own_ledger.remaining("ann")),
        asyncio.create_task(own_ledger.submit(new_job(), b"{}", max_queued=None)),
    ]
    waiting = asyncio.create_task(own_ledger.events("0-0", 200))
    await asyncio.sleep(0.1)
    server.start()
    remaining, submitted = await asyncio.gather(*calls)
    assert remaining in (1, 2)
    assert submitted == Submitted(2, 2)
    assert await waiting is not None


async def test_a_plan_forgets_what_it_read_of_a_life_that_was_lost(
    server: EmbeddedValkey, own_ledger: RedisLedger
) -> None:
    """After a loss the same counts come again, and mean other jobs."""

    async def waiting() -> list[str]:
        snapshot = await own_ledger.snapshot(5)
        return [job.id for backlog in snapshot.backlogs for job in backlog.jobs]

    await own_ledger.submit(new_job(id="before"), b"{}", max_queued=None)
    assert await waiting() == ["before"]
    await own_ledger.server.command("FLUSHALL")
    server.stop()
    server.start()
    await own_ledger.submit(new_job(id="after"), b"{}", max_queued=None)
    assert await waiting() == ["after"]


async def test_a_server_that_stays_away_is_told_after_the_patience(
    server: EmbeddedValkey,
) -> None:
    ledger = RedisLedger.connect(server.url, "p", patience_s=0.1)
    server.stop()
    with pytest.raises(LedgerUnavailable, match=r"check that it runs"):
        await ledger.remaining("ann")
    with pytest.raises(LedgerUnavailable):
        await ledger.submit(new_job(), b"{}", max_queued=None)
    with pytest.raises(LedgerUnavailable):
        await ledger.events("0-0", 10)
    assert not await ledger.ping()
    await ledger.close()


async def test_a_full_server_says_so_and_keeps_what_it_has(
    server: EmbeddedValkey, own_ledger: RedisLedger
) -> None:
    studio = await Studio(own_ledger).open()
    job = await studio.submit()
    await own_ledger.server.command("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(LedgerUnavailable, match=r"is full"):
        await own_ledger.submit(new_job(), b"{}", max_queued=None)
    assert [one.id for one in await own_ledger.unfinished("ann")] == [job.id]


async def test_a_refused_password_is_told_at_once(server: EmbeddedValkey) -> None:
    admin = RedisLedger.connect(server.url, "p")
    await admin.server.command("CONFIG", "SET", "requirepass", "other")
    ledger = RedisLedger.connect(server.url, "p", patience_s=60)
    with pytest.raises(LedgerUnavailable, match=r"redis\.url"):
        await ledger.remaining("ann")
    await ledger.close()
    await admin.close()


async def test_scripts_survive_a_server_that_forgot_them(own_ledger: RedisLedger) -> None:
    await own_ledger.submit(new_job(), b"{}", max_queued=None)
    await own_ledger.server.command("SCRIPT FLUSH")
    assert await own_ledger.submit(new_job(), b"{}", max_queued=None) == Submitted(2, 2)


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed_among_submits(
    server: EmbeddedValkey, own_ledger: RedisLedger
) -> None:
    acknowledged: dict[str, int] = {}
    jobs: list[NewJob] = [new_job() for _ in range(600)]

    async def submit(batch: list[NewJob]) -> None:
        for job in batch:
            reply = await own_ledger.submit(job, b"{}", max_queued=None)
            assert isinstance(reply, Submitted)
            acknowledged[job.id] = reply.number

    async def kill_and_restart() -> None:
        for count in (100, 250):
            while len(acknowledged) < count:
                await asyncio.sleep(0.002)
            kill(server)
            await asyncio.sleep(0.05)
            server.start()

    await asyncio.gather(*(submit(jobs[n::20]) for n in range(20)), kill_and_restart())

    queued = {job.id: job.number for job in await own_ledger.unfinished("ann")}
    assert len(acknowledged) == 600
    assert queued == acknowledged
    assert sorted(queued.values()) == list(range(1, 601))
