"""Virtual counters: charged at admission, corrected at settle, lifted when becoming backlogged."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.ledger import Admitted, Ending, Grant
from scheduler.states import FailReason, Job
from tests.factories import GIB, new_job, outcome
from tests.integration.ledger.conftest import LEASE_MS, Studio

#: of a job granted 10 s: a whole GPU to its user, half to the group (weight 2)
GRANT = Grant(
    bytes=GIB,
    capacity_bytes=20 * GIB,
    seconds=10.0,
    load_seconds=2.5,
    user_charge=10_000_000,
    group_charge=5_000_000,
    charge=30_000_000,
)


async def start(studio: Studio, job: Job, worker: str = "host-0", **changes: Any) -> Job:
    reply = await studio.ledger.admit(
        studio.epoch, job, await studio.worker(worker), GRANT, changes.get("lease_ms", LEASE_MS)
    )
    assert isinstance(reply, Admitted)
    await studio.ledger.claim(job.id, reply.attempt, worker, "uuid", "sid", LEASE_MS)
    return await studio.job(job.id)


async def virtual(studio: Studio) -> tuple[dict[str, int], dict[str, int]]:
    snapshot = await studio.ledger.snapshot(5)
    return {one.user: one.virtual for one in snapshot.backlogs}, dict(snapshot.groups)


async def queue(studio: Studio, user: str, group: str = "default", count: int = 1) -> list[Job]:
    return [await studio.submit(new_job(user, group=group)) for _ in range(count)]


async def test_an_admission_is_charged_and_remembered(studio: Studio) -> None:
    first, _ = await queue(studio, "ann", count=2)
    job = await start(studio, first)
    assert (job.granted_seconds, job.granted_load_seconds) == (10.0, 2.5)
    assert (job.user_charge, job.group_charge) == (10_000_000, 5_000_000)
    assert (job.user_cost, job.group_cost) == (0, 0)
    assert await virtual(studio) == ({"ann": 10_000_000}, {"default": 5_000_000})


@pytest.mark.parametrize(
    ("ending", "changes", "user_cost"),
    [
        (Ending.SUCCEEDED, {"run_seconds": 4.0}, 4_000_000),
        (Ending.SUCCEEDED, {"run_seconds": 25.0}, 25_000_000),
        (Ending.SUCCEEDED, {"run_seconds": 0.123456789}, 123_457),
        (Ending.FAILED, {"run_seconds": 4.0, "reason": FailReason.NODE_ERROR}, 4_000_000),
        (Ending.CANCELLED, {"run_seconds": 4.0}, 4_000_000),
        (Ending.OOM, {"run_seconds": 4.0}, 4_000_000),
        (Ending.LOST, {"run_seconds": 4.0}, 0),
        (Ending.RETURNED, {"run_seconds": 4.0}, 0),
    ],
)
async def test_what_ran_is_paid_and_what_was_given_up_is_not(
    studio: Studio, ending: Ending, changes: dict[str, Any], user_cost: int
) -> None:
    first, _ = await queue(studio, "ann", count=2)
    job = await start(studio, first)
    for _ in range(2):  # a repetition is not paid again
        await studio.ledger.settle(job.id, 1, outcome(ending, **changes))
    settled = await studio.job(job.id)
    assert (settled.user_charge, settled.group_charge) == (0, 0)
    assert settled.user_cost == user_cost
    assert (settled.charge, settled.cost) == (0, 3 * user_cost if user_cost != 123_457 else 370_370)
    users, groups = await virtual(studio)
    assert users == {"ann": user_cost}
    assert groups == {"default": settled.group_cost}


async def test_both_attempts_after_an_out_of_memory_are_paid(studio: Studio) -> None:
    (queued,) = await queue(studio, "ann")
    await start(studio, queued)
    await studio.ledger.settle(queued.id, 1, outcome(Ending.OOM, run_seconds=3.0))
    await start(studio, await studio.job(queued.id))
    await studio.ledger.settle(queued.id, 2, outcome(run_seconds=5.0))
    assert (await studio.job(queued.id)).user_cost == 8_000_000


async def test_events_tell_what_was_reserved_and_what_each_attempt_cost(studio: Studio) -> None:
    (queued,) = await queue(studio, "ann")
    await start(studio, queued)
    await studio.ledger.settle(queued.id, 1, outcome(Ending.OOM, run_seconds=3.0))
    await start(studio, await studio.job(queued.id))
    await studio.ledger.settle(queued.id, 2, outcome(run_seconds=5.0))
    events = [event for event in await studio.ledger.events("0-0", 0) if event.job == queued.id]
    told = [(event.kind.value, event.bytes, event.cost) for event in events]
    assert told == [
        ("submitted", 0, 0),
        ("admitted", GIB, 0),
        ("claimed", 0, 0),
        ("requeued", 0, 9_000_000),
        ("admitted", GIB, 0),
        ("claimed", 0, 0),
        ("settled", 0, 15_000_000),
    ]


async def test_a_lost_lease_and_a_cancelled_reservation_cost_nothing(studio: Studio) -> None:
    one, two, _ = await queue(studio, "ann", count=3)
    await start(studio, one, lease_ms=-1)
    await studio.ledger.renew(one.id, 1, -1)
    await studio.ledger.reap(studio.epoch, 3)
    await studio.ledger.admit(studio.epoch, two, await studio.worker("host-1"), GRANT, LEASE_MS)
    assert (await virtual(studio))[0] == {"ann": 10_000_000}
    await studio.ledger.cancel("ann", two.id)
    assert await virtual(studio) == ({"ann": 0}, {"default": 0})


async def test_who_comes_late_starts_level_with_the_least_of_those_who_wait(
    studio: Studio,
) -> None:
    first, _ = await queue(studio, "ann", count=2)
    await start(studio, first)
    await queue(studio, "bob")
    assert (await virtual(studio))[0] == {"ann": 10_000_000, "bob": 10_000_000}


async def test_who_comes_to_an_empty_queue_starts_where_the_last_one_left(studio: Studio) -> None:
    (only,) = await queue(studio, "ann")
    await start(studio, only)
    await queue(studio, "bob")
    users, groups = await virtual(studio)
    assert users["bob"] == 10_000_000
    assert groups == {"default": 5_000_000}


async def test_a_lift_never_lowers_a_counter(studio: Studio) -> None:
    (only,) = await queue(studio, "ann")
    await start(studio, only)
    await studio.ledger.settle(only.id, 1, outcome(run_seconds=30.0))
    await queue(studio, "ann")
    assert (await virtual(studio))[0] == {"ann": 30_000_000}


async def test_groups_are_lifted_among_groups(studio: Studio) -> None:
    first, _ = await queue(studio, "ann", "film", count=2)
    await start(studio, first)
    await queue(studio, "cy", "games")
    users, groups = await virtual(studio)
    assert groups == {"film": 5_000_000, "games": 5_000_000}
    assert users == {"ann": 10_000_000, "cy": 0}


async def test_a_job_that_comes_back_lifts_nobody(studio: Studio) -> None:
    """The lost job's user stood at 0: newcomers who were charged since do not drag her along."""
    (lost,) = await queue(studio, "ann")
    await start(studio, lost)
    one, _ = await queue(studio, "bob", count=2)
    await start(studio, one, "host-1")
    await studio.ledger.settle(lost.id, 1, outcome(Ending.LOST))
    assert (await virtual(studio))[0] == {"ann": 0, "bob": 20_000_000}


async def test_a_held_job_gives_no_turn(studio: Studio) -> None:
    (job,) = await queue(studio, "ann")
    await studio.ledger.hold("ann", job.id, held=True)
    assert await virtual(studio) == ({}, {})
    first, _ = await queue(studio, "bob", count=2)
    await start(studio, first)
    await studio.ledger.hold("ann", job.id, held=False)
    assert (await virtual(studio))[0] == {"ann": 10_000_000, "bob": 10_000_000}


async def test_a_user_changes_groups_when_nothing_of_the_old_one_is_left(studio: Studio) -> None:
    (old,) = await queue(studio, "ann", "film")
    (kept,) = await queue(studio, "ann", "games")
    assert kept.group == "film"
    for job in (old, kept):
        await studio.ledger.cancel("ann", job.id)
    (new,) = await queue(studio, "ann", "games")
    assert new.group == "games"
    assert (await virtual(studio))[1] == {"games": 0}


async def test_ten_years_of_gpu_time_are_counted_to_the_microsecond(studio: Studio) -> None:
    decade = 10 * 365 * 86_400 * 1_000_000 + 1
    first, _ = await queue(studio, "ann", count=2)
    big = Grant(bytes=GIB, capacity_bytes=0, seconds=10.0, user_charge=decade, group_charge=decade)
    await studio.ledger.admit(studio.epoch, first, await studio.worker(), big, LEASE_MS)
    assert await virtual(studio) == ({"ann": decade}, {"default": decade})
    await queue(studio, "bob")
    assert (await virtual(studio))[0]["bob"] == decade
