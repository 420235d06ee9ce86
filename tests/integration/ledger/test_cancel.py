"""cancel: at once where nothing runs, through the worker where something does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scheduler.ledger import (
    CancelReply,
    Ending,
    Event,
    EventKind,
    Ledger,
    Order,
    OrderKind,
    Refusal,
)
from scheduler.states import JobState
from tests.factories import new_job, outcome
from tests.integration.ledger.conftest import LEASE_MS, Dump, Studio


async def last_event(ledger: Ledger) -> Event:
    return (await ledger.events("0-0", 0))[-1]


async def test_a_queued_job_is_cancelled_at_once(studio: Studio) -> None:
    job = await studio.submit()
    reply = await studio.ledger.cancel("ann", job.id)
    assert reply == CancelReply(JobState.CANCELLED, changed=True)
    cancelled = await studio.job(job.id)
    assert (cancelled.state, cancelled.rev) == (JobState.CANCELLED, job.rev + 1)
    assert cancelled.ended_ms > 0
    assert await studio.ledger.unfinished("ann") == []
    assert (await studio.ledger.snapshot(4)).backlogs == ()
    event = await last_event(studio.ledger)
    assert (event.kind, event.state, event.remaining) == (
        EventKind.SETTLED,
        JobState.CANCELLED,
        0,
    )


async def test_a_job_cancelled_before_it_ran_leaves_no_history(studio: Studio) -> None:
    queued, reserved = await studio.submit(), await studio.reserve()
    for job in (queued, reserved):
        await studio.ledger.cancel("ann", job.id)
    assert await studio.ledger.ended("ann") == []
    assert await studio.ledger.results([queued.id, reserved.id]) == [None, None]
    found = await studio.ledger.find("ann", queued.prompt_id)
    assert found is not None
    assert found.state is JobState.CANCELLED


async def test_a_cancelled_job_tells_whether_a_worker_had_taken_it_up(studio: Studio) -> None:
    reserved = await studio.reserve()
    await studio.ledger.cancel("ann", reserved.id)
    event = await last_event(studio.ledger)
    assert (event.job, event.attempt, event.begun) == (reserved.id, 1, False)
    lost = await studio.run()
    await studio.ledger.settle(lost.id, 1, outcome(Ending.LOST))
    assert (await studio.job(lost.id)).state is JobState.QUEUED
    await studio.ledger.cancel("ann", lost.id)
    event = await last_event(studio.ledger)
    assert (event.job, event.attempt, event.begun) == (lost.id, 1, True)


async def test_a_reserved_job_gives_its_worker_back_at_once(studio: Studio) -> None:
    job = await studio.reserve()
    reply = await studio.ledger.cancel("ann", job.id)
    assert reply == CancelReply(JobState.CANCELLED, changed=True)
    worker = await studio.worker()
    assert (worker.job, worker.reserved_bytes) == ("", 0)
    assert await studio.ledger.settle(job.id, 1, outcome()) == Refusal.FENCED


async def test_a_running_job_is_interrupted_through_its_agent(studio: Studio) -> None:
    job = await studio.run()
    reply = await studio.ledger.cancel("ann", job.id)
    assert reply == CancelReply(JobState.CANCELLING, changed=True)
    assert (await last_event(studio.ledger)).kind is EventKind.CANCELLING
    await studio.ledger.next_order("host", 1)
    order = await studio.ledger.next_order("host", 1)
    assert order == Order(OrderKind.CANCEL, "host-0", job.id, 1)
    assert (await studio.worker()).job == job.id
    assert await studio.ledger.remaining("ann") == 1


async def test_cancelling_twice_changes_nothing_more(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    running, queued = await studio.run(), await studio.submit()
    for job, state in ((running, JobState.CANCELLING), (queued, JobState.CANCELLED)):
        await studio.ledger.cancel("ann", job.id)
        before = dump()
        assert await studio.ledger.cancel("ann", job.id) == CancelReply(state, changed=False)
        assert dump() == before


async def test_an_ended_job_stays_as_it_ended(studio: Studio, dump: Callable[[], Dump]) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome())
    before = dump()
    reply = await studio.ledger.cancel("ann", job.id)
    assert reply == CancelReply(JobState.SUCCEEDED, changed=False)
    assert dump() == before


async def test_nobody_cancels_somebody_elses_job(studio: Studio, dump: Callable[[], Dump]) -> None:
    jobs = [await studio.run(), await studio.submit()]
    before = dump()
    for job in jobs:
        assert await studio.ledger.cancel("bob", job.id) == CancelReply(None, changed=False)
    assert dump() == before
    assert await studio.ledger.cancel("ann", "no-such-job") == CancelReply(None, changed=False)


async def test_a_cancelled_user_with_other_jobs_keeps_them(studio: Studio) -> None:
    keep = await studio.submit()
    drop = await studio.submit()
    bobs = await studio.submit(new_job("bob"))
    await studio.ledger.cancel("ann", drop.id)
    assert [job.id for job in await studio.ledger.unfinished("ann")] == [keep.id]
    assert [job.id for job in await studio.ledger.unfinished("bob")] == [bobs.id]


async def test_cancel_racing_with_claim_and_settle_ends_in_one_way(studio: Studio) -> None:
    for round_ in range(20):
        job = await studio.reserve()
        await asyncio.gather(
            studio.ledger.claim(job.id, 1, "host-0", f"u{round_}", "sid", LEASE_MS),
            studio.ledger.cancel("ann", job.id),
            studio.ledger.settle(job.id, 1, outcome(Ending.CANCELLED)),
        )
        await studio.ledger.settle(job.id, 1, outcome(Ending.CANCELLED))
        assert (await studio.job(job.id)).state is JobState.CANCELLED
        assert (await studio.worker()).job == ""
    assert (await studio.kinds()).count("settled") == 20
