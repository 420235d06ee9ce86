"""What else a scheduler does: lead, look, refuse, explain, release, reap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from scheduler.ledger import EventKind, Ledger, Order, OrderKind, Reaped, Refusal
from scheduler.states import FailReason, JobState, WaitReason, WorkerState
from tests.factories import GIB, gpu, new_job, outcome, report, worker
from tests.integration.ledger.conftest import PASSED_MS, Dump, Studio, two_workers

# ── leadership ───────────────────────────────────────────────────────────────


async def test_one_leads_and_keeps_its_epoch(ledger: Ledger) -> None:
    assert await ledger.lead("one", 60_000) == 1
    assert await ledger.lead("one", 60_000) == 1
    assert await ledger.lead("two", 60_000) is None


async def test_of_many_racing_one_leads(ledger: Ledger) -> None:
    epochs = await asyncio.gather(*(ledger.lead(f"s{n}", 60_000) for n in range(30)))
    assert sorted(epochs, key=str) == [1] + [None] * 29


async def test_a_silent_leader_is_followed_by_a_higher_epoch(ledger: Ledger) -> None:
    assert await ledger.lead("one", PASSED_MS) == 1
    assert await ledger.lead("two", 60_000) == 2
    assert await ledger.lead("one", 60_000) is None


async def test_resigning_lets_a_successor_in_at_once(ledger: Ledger) -> None:
    assert await ledger.lead("one", 60_000) == 1
    await ledger.resign("one", 1)
    assert await ledger.lead("two", 60_000) == 2


async def test_a_former_leader_cannot_resign_for_its_successor(ledger: Ledger) -> None:
    await ledger.lead("one", PASSED_MS)
    await ledger.lead("two", 60_000)
    await ledger.resign("one", 1)
    await ledger.resign("two", 1)
    assert await ledger.lead("three", 60_000) is None


async def test_the_epoch_grows_over_a_resignation(ledger: Ledger) -> None:
    await ledger.lead("one", 60_000)
    await ledger.resign("one", 1)
    assert await ledger.lead("one", 60_000) == 2


async def test_a_former_leader_changes_nothing(studio: Studio, dump: Callable[[], Dump]) -> None:
    job = await studio.submit()
    await studio.run(lease_ms=PASSED_MS)
    stale = studio.epoch - 1
    before = dump()
    assert await studio.admit_as(stale, job) == Refusal.STALE_LEADER
    assert not await studio.ledger.refuse(stale, job, FailReason.INFEASIBLE, "too big")
    assert not await studio.ledger.release(stale, "host-1")
    assert await studio.ledger.reap(stale, 2) == []
    assert await studio.ledger.trim(stale, 0, 0) == 0
    await studio.ledger.explain(stale, {job.id: (WaitReason.CAP, "no", "")})
    assert dump() == before


# ── snapshot ─────────────────────────────────────────────────────────────────


async def test_a_snapshot_shows_the_whole_pool(studio: Studio) -> None:
    running = await studio.run(await studio.submit(new_job("bob", group="fx")))
    anns = [await studio.submit() for _ in range(3)]
    snapshot = await studio.ledger.snapshot(2)
    assert [one.id for one in snapshot.gpus] == ["gpu-0"]
    assert [(one.id, one.job) for one in snapshot.workers] == [
        ("host-0", running.id),
        ("host-1", ""),
    ]
    assert snapshot.active == {running.id: running}
    ann, bob = sorted(snapshot.backlogs, key=lambda backlog: backlog.user)
    assert (ann.user, ann.group, ann.queued, ann.running) == ("ann", "default", 3, 0)
    assert ann.jobs == tuple(anns[:2])
    assert (bob.user, bob.group, bob.queued, bob.running, bob.jobs) == ("bob", "fx", 0, 1, ())
    assert snapshot.now_ms >= running.started_ms


async def test_an_empty_pool_has_an_empty_snapshot(ledger: Ledger) -> None:
    snapshot = await ledger.snapshot(4)
    assert (snapshot.gpus, snapshot.workers, snapshot.backlogs, snapshot.active) == ((), (), (), {})


async def test_a_user_whose_jobs_have_ended_is_no_backlog(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome())
    assert (await studio.ledger.snapshot(4)).backlogs == ()


# ── refuse, explain ──────────────────────────────────────────────────────────


async def test_a_refused_job_fails_with_the_reason_in_words(studio: Studio) -> None:
    job = await studio.submit()
    assert await studio.ledger.refuse(studio.epoch, job, FailReason.INFEASIBLE, "needs 90 GiB")
    failed = await studio.job(job.id)
    assert (failed.state, failed.reason) == (JobState.FAILED, FailReason.INFEASIBLE)
    assert [one.id for one in await studio.ledger.ended("ann")] == [job.id]
    event = (await studio.ledger.events("0-0", 0))[-1]
    assert (event.kind, event.reason) == (EventKind.SETTLED, "infeasible")
    ((kind, data),) = json.loads(event.frames)
    assert (kind, data["exception_message"]) == ("execution_error", "needs 90 GiB")


async def test_refusing_what_is_no_longer_queued_as_seen_does_nothing(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    seen = await studio.submit()
    await studio.reserve(seen)
    before = dump()
    assert not await studio.ledger.refuse(studio.epoch, seen, FailReason.INFEASIBLE, "no")
    assert dump() == before


async def test_waiting_jobs_say_why(studio: Studio) -> None:
    queued, running = await studio.submit(), await studio.run()
    events = len(await studio.kinds())
    why = (WaitReason.NO_HEADROOM, "needs 8 GiB, 3 GiB free", "gpu-0")
    await studio.ledger.explain(studio.epoch, {queued.id: why, running.id: why, "nope": why})
    explained = await studio.job(queued.id)
    assert (explained.wait_reason, explained.wait_detail, explained.wait_blocker) == why
    assert explained.rev == queued.rev
    assert (await studio.job(running.id)).wait_reason is None
    assert len(await studio.kinds()) == events


async def test_explaining_hundreds_takes_them_all(studio: Studio) -> None:
    jobs = [await studio.submit() for _ in range(250)]
    waits = {job.id: (WaitReason.CAP, str(n), "") for n, job in enumerate(jobs)}
    await studio.ledger.explain(studio.epoch, waits)
    explained = await studio.ledger.unfinished("ann")
    assert [job.wait_detail for job in explained] == [str(n) for n in range(250)]


# ── release ──────────────────────────────────────────────────────────────────


async def test_an_idle_worker_releases_its_memory_and_is_ready_again(studio: Studio) -> None:
    assert await studio.ledger.release(studio.epoch, "host-0")
    assert (await studio.worker()).state is WorkerState.RELEASING
    assert await studio.ledger.next_order("host", 1) == Order(OrderKind.RELEASE, "host-0")
    await studio.ledger.released("host-0", 3 * GIB)
    ready = await studio.worker()
    assert (ready.state, ready.used_bytes) == (WorkerState.READY, 3 * GIB)
    assert (await studio.kinds())[-2:] == ["capacity", "capacity"]


async def test_a_releasing_worker_still_holds_its_bytes(studio: Studio) -> None:
    await studio.ledger.report(
        report(workers=[worker("host-0", used_bytes=18 * GIB), worker("host-1")], gpus=[gpu()])
    )
    await studio.ledger.release(studio.epoch, "host-0")
    queued = await studio.submit()
    assert await studio.admit(queued, "host-1") == Refusal.NO_FIT
    await studio.ledger.released("host-0", GIB)
    await studio.reserve(queued, "host-1")


async def test_what_is_busy_down_unknown_or_releasing_already_releases_nothing(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    await studio.ledger.report(
        report(
            workers=[
                worker("host-0"),
                worker("host-1", state=WorkerState.DOWN),
                worker("host-2"),
            ],
            gpus=[gpu()],
        )
    )
    await studio.run(worker_id="host-0")
    await studio.ledger.release(studio.epoch, "host-2")
    before = dump()
    for name in ("host-0", "host-1", "host-2", "nobody"):
        assert not await studio.ledger.release(studio.epoch, name)
    assert dump() == before


async def test_released_means_nothing_to_a_worker_that_was_not_releasing(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    before = dump()
    await studio.ledger.released("host-0", 5 * GIB)
    await studio.ledger.released("nobody", 5 * GIB)
    assert dump() == before


# ── reap ─────────────────────────────────────────────────────────────────────


async def test_leases_that_go_on_are_left_alone(studio: Studio, dump: Callable[[], Dump]) -> None:
    await studio.run()
    before = dump()
    assert await studio.ledger.reap(studio.epoch, 2) == []
    assert dump() == before


@pytest.mark.parametrize("claimed", [True, False])
async def test_a_job_with_a_passed_lease_is_queued_again(studio: Studio, claimed: bool) -> None:
    first, second = await studio.submit(), await studio.submit()
    await (studio.run if claimed else studio.reserve)(first, lease_ms=PASSED_MS)
    assert await studio.ledger.reap(studio.epoch, 2) == [Reaped(first.id, JobState.QUEUED)]
    job = await studio.job(first.id)
    assert (job.state, job.losses, job.worker) == (JobState.QUEUED, 1, "")
    assert [one.id for one in await studio.ledger.unfinished("ann")] == [first.id, second.id]
    assert (await studio.worker()).job == ""
    assert await studio.ledger.settle(first.id, 1, outcome()) == Refusal.FENCED
    assert await studio.ledger.reap(studio.epoch, 2) == []


async def test_reaping_too_often_ends_as_poison(studio: Studio) -> None:
    job = await studio.submit()
    states = []
    for _ in range(2):
        await studio.run(await studio.job(job.id), lease_ms=PASSED_MS)
        states += [reaped.state for reaped in await studio.ledger.reap(studio.epoch, 2)]
    assert states == [JobState.QUEUED, JobState.FAILED]
    failed = await studio.job(job.id)
    assert (failed.reason, failed.losses) == (FailReason.POISON, 2)
    assert b"execution_error" in (await studio.ledger.events("0-0", 0))[-1].frames


async def test_reaping_what_is_being_cancelled_ends_it(studio: Studio) -> None:
    job = await studio.run(lease_ms=PASSED_MS)
    await studio.ledger.cancel("ann", job.id)
    assert await studio.ledger.reap(studio.epoch, 2) == [Reaped(job.id, JobState.CANCELLED)]
    event = (await studio.ledger.events("0-0", 0))[-1]
    assert json.loads(event.frames)[0][0] == "execution_interrupted"


async def test_racing_reapers_count_one_loss(studio: Studio) -> None:
    job = await studio.run(lease_ms=PASSED_MS)
    reaped = await asyncio.gather(*(studio.ledger.reap(studio.epoch, 2) for _ in range(10)))
    assert sum(len(one) for one in reaped) == 1
    assert (await studio.job(job.id)).losses == 1


async def test_the_reserved_worker_of_a_dead_agent_stays_down_until_it_reports(
    studio: Studio,
) -> None:
    job = await studio.run()
    await studio.ledger.report(two_workers())
    await studio.ledger.report(report(workers=[worker("host-1")], gpus=[gpu()]))
    gone = await studio.worker()
    assert (gone.state, gone.job) == (WorkerState.DOWN, job.id)
