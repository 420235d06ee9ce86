"""hold and move: a user puts the own queue in another order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scheduler.ledger import CancelReply, EventKind, OverCap, Refusal
from scheduler.states import FailReason, Job, JobState, Lane, WaitReason
from tests.factories import grant, new_job
from tests.integration.ledger.conftest import LEASE_MS, Dump, Studio

QUEUED = CancelReply(JobState.QUEUED, changed=True)
UNCHANGED = CancelReply(JobState.QUEUED, changed=False)
UNKNOWN = CancelReply(None, changed=False)


async def order(studio: Studio, user: str = "ann") -> list[str]:
    backlogs = (await studio.ledger.snapshot(10)).backlogs
    return [job.id for backlog in backlogs if backlog.user == user for job in backlog.jobs]


async def three(studio: Studio) -> list[Job]:
    return [await studio.submit(new_job(id=name)) for name in ("one", "two", "three")]


async def test_a_held_job_keeps_its_place_but_is_not_planned(studio: Studio) -> None:
    await three(studio)
    assert await studio.ledger.hold("ann", "two", held=True) == QUEUED
    assert await order(studio) == ["one", "three"]
    assert [job.id for job in await studio.ledger.unfinished("ann")] == ["one", "two", "three"]
    assert await studio.ledger.remaining("ann") == 3
    assert await studio.ledger.hold("ann", "two", held=False) == QUEUED
    assert await order(studio) == ["one", "two", "three"]


async def test_the_first_of_a_queue_are_listed_behind_what_runs_and_held_ones_left_out(
    studio: Studio,
) -> None:
    _, _, third = await three(studio)
    await studio.submit(new_job(id="four"))
    await studio.ledger.hold("ann", "two", held=True)
    await studio.ledger.move("ann", third.id, front=True)

    async def first(number: int) -> list[str]:
        return [job.id for job in await studio.ledger.unfinished("ann", first=number)]

    assert await first(2) == ["three", "one"]
    await studio.run(await studio.job("three"))
    assert await first(1) == ["three", "one"]
    assert await first(0) == ["three"]
    assert await studio.ledger.unfinished("bob", first=5) == []


async def test_batch_jobs_stand_behind_all_interactive_ones_whenever_they_came(
    studio: Studio,
) -> None:
    await studio.submit(new_job(id="night", lane=Lane.BATCH))
    await studio.submit(new_job(id="later", lane=Lane.BATCH))
    await studio.submit(new_job(id="now"))
    assert await order(studio) == ["now", "night", "later"]
    assert [job.id for job in await studio.ledger.unfinished("ann")] == ["now", "night", "later"]
    await studio.ledger.move("ann", "later", front=True)
    assert await order(studio) == ["now", "later", "night"]


async def test_a_held_job_says_so_and_each_change_is_an_event(studio: Studio) -> None:
    job = await studio.submit()
    await studio.ledger.hold("ann", job.id, held=True)
    held = await studio.job(job.id)
    assert (held.state, held.held, held.rev) == (JobState.QUEUED, True, job.rev + 1)
    assert held.wait_reason is WaitReason.HELD
    assert held.wait_detail
    await studio.ledger.explain(studio.epoch, {job.id: (WaitReason.CAP, "another reason", "")})
    assert (await studio.job(job.id)).wait_reason is WaitReason.HELD
    await studio.ledger.hold("ann", job.id, held=False)
    free = await studio.job(job.id)
    assert (free.held, free.rev) == (False, job.rev + 2)
    assert (free.wait_reason, free.wait_detail) == (None, "")
    assert (await studio.kinds())[-2:] == [EventKind.HELD, EventKind.UNHELD]


async def test_a_held_job_is_not_admitted(studio: Studio, dump: Callable[[], Dump]) -> None:
    job = await studio.submit()
    await studio.ledger.hold("ann", job.id, held=True)
    held = await studio.job(job.id)
    before = dump()
    assert await studio.admit(held) == Refusal.CONFLICT
    assert dump() == before


async def test_a_plan_made_before_the_hold_does_not_start_the_job(studio: Studio) -> None:
    job = await studio.submit()
    await studio.ledger.hold("ann", job.id, held=True)
    await studio.ledger.hold("ann", job.id, held=False)
    assert await studio.admit(job) == Refusal.CONFLICT


@pytest.mark.parametrize("held", [True, False])
async def test_holding_twice_is_holding_once(
    studio: Studio, dump: Callable[[], Dump], held: bool
) -> None:
    job = await studio.submit()
    if held:
        await studio.ledger.hold("ann", job.id, held=True)
    before = dump()
    assert await studio.ledger.hold("ann", job.id, held=held) == UNCHANGED
    assert dump() == before


async def test_only_the_owner_holds_and_moves_and_only_what_waits(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    waiting, running = await studio.submit(), await studio.run()
    before = dump()
    assert await studio.ledger.hold("bob", waiting.id, held=True) == UNKNOWN
    assert await studio.ledger.move("bob", waiting.id, front=True) == UNKNOWN
    assert await studio.ledger.move("ann", "nope", front=True) == UNKNOWN
    unchanged = CancelReply(JobState.RUNNING, changed=False)
    assert await studio.ledger.hold("ann", running.id, held=True) == unchanged
    assert await studio.ledger.move("ann", running.id, front=True) == unchanged
    assert dump() == before


async def test_a_held_job_can_be_cancelled_and_expire(studio: Studio) -> None:
    jobs = [await studio.submit() for _ in range(2)]
    for job in jobs:
        await studio.ledger.hold("ann", job.id, held=True)
    cancelled = CancelReply(JobState.CANCELLED, changed=True)
    assert await studio.ledger.cancel("ann", jobs[0].id) == cancelled
    held = await studio.job(jobs[1].id)
    assert await studio.ledger.refuse(studio.epoch, held, FailReason.EXPIRED, "too late")
    assert await studio.ledger.unfinished("ann") == []
    assert not (await studio.job(jobs[1].id)).held
    assert await studio.ledger.counts() == []


async def test_held_jobs_count_as_queued_for_caps_and_pages(studio: Studio) -> None:
    job = await studio.submit()
    await studio.ledger.hold("ann", job.id, held=True)
    (counts,) = await studio.ledger.counts()
    assert (counts.queued, counts.running) == (1, 0)
    assert await studio.ledger.submit(new_job(), b"{}", max_queued=1) == OverCap(1, 1)


async def test_a_job_is_moved_to_the_front_and_to_the_end(studio: Studio) -> None:
    await three(studio)
    assert await studio.ledger.move("ann", "three", front=True) == QUEUED
    assert await order(studio) == ["three", "one", "two"]
    assert await studio.ledger.move("ann", "one", front=False) == QUEUED
    assert await order(studio) == ["three", "two", "one"]
    moved = await studio.job("one")
    assert moved.rev == 2
    assert (await studio.kinds())[-1] == EventKind.MOVED


async def test_a_held_job_is_moved_among_the_held(studio: Studio) -> None:
    await three(studio)
    await studio.ledger.hold("ann", "three", held=True)
    await studio.ledger.move("ann", "three", front=True)
    assert await order(studio) == ["one", "two"]
    await studio.ledger.hold("ann", "three", held=False)
    assert await order(studio) == ["three", "one", "two"]


async def test_a_lost_job_comes_back_to_the_place_it_was_moved_to(studio: Studio) -> None:
    await three(studio)
    await studio.ledger.move("ann", "three", front=True)
    await studio.run(await studio.job("three"), lease_ms=-1)
    await studio.ledger.reap(studio.epoch, 3)
    assert await order(studio) == ["three", "one", "two"]


async def test_admissions_count_the_waiting_jobs_they_pass(studio: Studio) -> None:
    one, two, three_ = await three(studio)
    await studio.ledger.hold("ann", "two", held=True)
    passing = grant(passed=("one", "two", "nope"))
    await studio.ledger.admit(studio.epoch, three_, await studio.worker(), passing, LEASE_MS)
    assert [(await studio.job(id_)).skips for id_ in ("one", "two", "three")] == [1, 0, 0]
    (backlog,) = (await studio.ledger.snapshot(5)).backlogs
    assert [job.skips for job in backlog.jobs] == [1]
    assert (await studio.job("one")).rev == one.rev
    assert two.skips == 0


async def test_the_first_held_ones_are_told_in_the_order_of_the_queue(studio: Studio) -> None:
    jobs = [await studio.submit() for _ in range(4)]
    for job in reversed(jobs[1:]):
        await studio.ledger.hold(job.user, job.id, held=True)
    first = await studio.ledger.first_held("ann", 2)
    assert [job.id for job in first] == [job.id for job in jobs[1:3]]
    assert all(job.held for job in first)
    assert await studio.ledger.first_held("ann", 0) == []
    assert await studio.ledger.first_held("bob", 2) == []
