"""The ledger's part: what was there goes on somewhere else, and what ran there runs again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from scheduler.backup_keys import Books, KeptKey, mend
from scheduler.ledger import Duplicate
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState
from tests.factories import new_job, report, worker
from tests.integration.operations.conftest import Estate, settle, start


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """The store has no part in it."""
    return f"sqlite:///{tmp_path}/store.db"


async def carried(
    source: RedisLedger, target: RedisLedger, ended: Collection[str] = ()
) -> list[KeptKey]:
    keys = [key async for key in source.kept()]
    books = Books.of(keys, ended)
    await target.put_kept(mend(keys, books))
    return keys


async def test_queue_keys_profiles_and_secrets_are_the_same_elsewhere(
    estate: Estate, other: RedisLedger
) -> None:
    await carried(estate.ledger, other)
    assert await other.overrides() == await estate.ledger.overrides()
    assert await other.secret("cookie", "another") == "the-secret"
    assert await other.profiles(["fp-1"]) == [b"profile"]
    assert await other.week() == b"week"
    for user in ("ann", "bob"):
        before, after = await estate.ledger.listing(user), await other.listing(user)
        assert after.waiting == before.waiting
        assert after.ended == before.ended
    ids = [estate.queued, estate.held, estate.running, estate.settled]
    assert await other.prompts(ids) == await estate.ledger.prompts(ids)
    assert await other.results([estate.settled]) == await estate.ledger.results([estate.settled])
    assert await other.jobs([estate.queued]) == await estate.ledger.jobs([estate.queued])


async def test_what_ran_runs_again_and_counts_no_loss(estate: Estate, other: RedisLedger) -> None:
    await carried(estate.ledger, other)
    epoch = await other.lead("operations", 60_000)
    assert epoch is not None
    (reaped,) = await other.reap(epoch, max_losses=3)
    assert (reaped.job_id, reaped.state) == (estate.running, JobState.QUEUED)
    (job,) = await other.jobs([estate.running])
    assert job is not None
    assert job.losses == 0
    await other.report(report("new", [worker("new-0", "new-gpu-0")]))
    again = await start(other, estate.running, "new-0")
    assert again.attempt == 2
    await settle(other, again)
    assert await other.remaining("ann") == 1


async def test_one_whose_cancelling_was_under_way_is_cancelled(
    estate: Estate, other: RedisLedger
) -> None:
    await estate.ledger.cancel("ann", estate.running)
    await carried(estate.ledger, other)
    epoch = await other.lead("operations", 60_000)
    assert epoch is not None
    (reaped,) = await other.reap(epoch, max_losses=3)
    assert reaped.state is JobState.CANCELLED


async def test_a_leader_of_before_is_stale(estate: Estate, other: RedisLedger) -> None:
    before = await estate.ledger.lead("operations", 60_000)
    await carried(estate.ledger, other)
    after = await other.lead("operations", 60_000)
    assert before is not None
    assert after is not None
    assert after > before


async def test_what_the_store_says_has_ended_is_not_run_again(
    estate: Estate, other: RedisLedger
) -> None:
    """It settled after the ledger was read and before the store was."""
    await carried(estate.ledger, other, ended={estate.running, estate.queued})
    assert await other.remaining("ann") == 0
    assert await other.remaining("bob") == 1
    epoch = await other.lead("operations", 60_000)
    assert epoch is not None
    assert await other.reap(epoch, max_losses=3) == []
    snapshot = await other.snapshot(10)
    assert [backlog.user for backlog in snapshot.backlogs] == []


async def test_what_was_settled_and_not_recorded_comes_to_the_recorder_there(
    estate: Estate, other: RedisLedger
) -> None:
    await carried(estate.ledger, other)
    events = await other.record_events("recorder", 0, 1000)
    ended = [event.job for event in events if event.state is JobState.SUCCEEDED]
    assert ended == [estate.settled]


async def test_the_same_prompt_sent_again_is_known(estate: Estate, other: RedisLedger) -> None:
    await carried(estate.ledger, other)
    (job,) = await other.jobs([estate.settled])
    assert job is not None
    again = await other.submit(
        new_job("ann", idempotency_key="key-settled"), b"{}", max_queued=None
    )
    assert isinstance(again, Duplicate)
    assert again.job_id == estate.settled


async def test_clearing_leaves_nothing_of_the_pool_and_all_of_others(
    estate: Estate, other: RedisLedger
) -> None:
    await other.override({"a": "1"})
    assert await estate.ledger.clear() > 10
    assert [key async for key in estate.ledger.kept()] == []
    assert await other.overrides() == (1, {"a": "1"})


async def test_a_pool_says_whether_it_is_used(estate: Estate, other: RedisLedger) -> None:
    assert (await other.occupied()).filled is False
    occupied = await estate.ledger.occupied()
    assert occupied.filled
    assert "leads" in occupied.by


async def test_jobs_that_settle_while_it_is_read_are_whole(
    estate: Estate, other: RedisLedger
) -> None:
    """The books are of one instant, however long the bodies take."""
    kept = estate.ledger.kept()
    keys = [await anext(kept)]
    running = await estate.job(estate.running)
    assert running is not None
    await settle(estate.ledger, running)
    await estate.ledger.cancel("ann", estate.queued)
    keys += [key async for key in kept]
    books = Books.of(keys, ())
    await other.put_kept(mend(keys, books))
    states = {job.id: job.state for job in await other.unfinished("ann")}
    assert states == {estate.running: JobState.RUNNING, estate.queued: JobState.QUEUED}
    assert [job_id for job_id, _ in (await other.listing("ann")).ended] == [estate.settled]
