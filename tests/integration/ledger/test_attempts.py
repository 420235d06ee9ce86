"""claim, renew, settle: an attempt runs once and is closed once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from scheduler.ledger import (
    Admitted,
    Claimed,
    Ending,
    Event,
    EventKind,
    Ledger,
    Refusal,
    Renewed,
    Settled,
)
from scheduler.states import FailReason, Job, JobState, WorkerState
from tests.factories import GIB, gpu, grant, new_job, outcome, report, worker
from tests.integration.ledger.conftest import LEASE_MS, Connect, Dump, Studio, two_workers


async def last_event(ledger: Ledger) -> Event:
    return (await ledger.events("0-0", 0))[-1]


# ── claim ────────────────────────────────────────────────────────────────────


async def test_a_claim_runs_the_job_and_hands_out_its_prompt(studio: Studio) -> None:
    reserved = await studio.reserve(await studio.submit(prompt=b'{"a": 1}'))
    claimed = await studio.ledger.claim(reserved.id, 1, "host-0", "uuid", "sid", LEASE_MS)
    assert isinstance(claimed, Claimed)
    assert (claimed.prompt, claimed.again) == (b'{"a": 1}', False)
    assert claimed.job == await studio.job(reserved.id)
    assert claimed.job.state is JobState.RUNNING
    assert (claimed.job.attempt_uuid, claimed.job.sid) == ("uuid", "sid")
    assert claimed.job.started_ms >= claimed.job.admitted_ms
    assert (await last_event(studio.ledger)).kind is EventKind.CLAIMED


async def test_the_same_claim_again_is_told_so_and_changes_nothing(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    job = await studio.run(lease_ms=LEASE_MS)
    before = dump()
    again = await studio.ledger.claim(job.id, 1, "host-0", "uuid-1", "sid", LEASE_MS)
    assert again == Claimed(job, b"{}", again=True)
    assert without_leases(dump()) == without_leases(before)


def without_leases(dump: Dump) -> Dump:
    return {key: value for key, value in dump.items() if not key.endswith(":inflight")}


async def test_of_two_racing_claims_one_wins(studio: Studio) -> None:
    job = await studio.reserve()
    replies = await asyncio.gather(
        *(studio.ledger.claim(job.id, 1, "host-0", f"u{n}", "sid", LEASE_MS) for n in range(20))
    )
    assert sum(isinstance(reply, Claimed) for reply in replies) == 1
    assert replies.count(Refusal.FENCED) == 19


@pytest.mark.parametrize(("attempt", "worker"), [(0, "host-0"), (2, "host-0"), (1, "host-1")])
async def test_a_claim_of_another_attempt_or_worker_is_fenced(
    studio: Studio, dump: Callable[[], Dump], attempt: int, worker: str
) -> None:
    job = await studio.reserve()
    before = dump()
    reply = await studio.ledger.claim(job.id, attempt, worker, "uuid", "sid", LEASE_MS)
    assert reply == Refusal.FENCED
    assert dump() == before


async def test_a_job_cancelled_before_its_claim_is_fenced(studio: Studio) -> None:
    job = await studio.reserve()
    await studio.ledger.cancel("ann", job.id)
    reply = await studio.ledger.claim(job.id, 1, "host-0", "uuid", "sid", LEASE_MS)
    assert reply == Refusal.FENCED


async def test_unknown_jobs_are_unknown(studio: Studio) -> None:
    ledger = studio.ledger
    assert await ledger.claim("nope", 1, "host-0", "u", "s", LEASE_MS) == Refusal.UNKNOWN
    assert await ledger.renew("nope", 1, LEASE_MS) == Refusal.UNKNOWN
    assert await ledger.settle("nope", 1, outcome()) == Refusal.UNKNOWN


# ── renew ────────────────────────────────────────────────────────────────────


async def test_a_renewed_lease_is_not_reaped(studio: Studio) -> None:
    job = await studio.run(lease_ms=-1)
    assert await studio.ledger.renew(job.id, 1, LEASE_MS) == Renewed(cancel=False)
    assert await studio.ledger.reap(studio.epoch, 2) == []


async def test_renewing_tells_of_a_cancel(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.cancel("ann", job.id)
    assert await studio.ledger.renew(job.id, 1, LEASE_MS) == Renewed(cancel=True)


@pytest.mark.parametrize("attempt", [0, 2])
async def test_renewing_another_attempt_is_fenced(
    studio: Studio, dump: Callable[[], Dump], attempt: int
) -> None:
    job = await studio.run()
    before = dump()
    assert await studio.ledger.renew(job.id, attempt, LEASE_MS) == Refusal.FENCED
    assert dump() == before


async def test_a_settled_attempt_cannot_be_renewed(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome())
    assert await studio.ledger.renew(job.id, 1, LEASE_MS) == Refusal.FENCED


# ── settle ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ending", "reason", "state"),
    [
        (Ending.SUCCEEDED, None, JobState.SUCCEEDED),
        (Ending.FAILED, FailReason.NODE_ERROR, JobState.FAILED),
        (Ending.FAILED, FailReason.HUNG, JobState.FAILED),
        (Ending.CANCELLED, None, JobState.CANCELLED),
    ],
)
async def test_an_attempt_ends_as_its_agent_says(
    studio: Studio, ending: Ending, reason: FailReason | None, state: JobState
) -> None:
    job = await studio.run()
    closing = outcome(
        ending, reason=reason, peak_bytes=7, run_seconds=1.25, result=b'{"o": 1}', frames=b"[[1]]"
    )
    assert await studio.ledger.settle(job.id, 1, closing) == Settled(state)
    ended = await studio.job(job.id)
    assert (ended.state, ended.reason, ended.rev) == (state, reason, job.rev + 1)
    assert (ended.peak_bytes, ended.run_seconds) == (7, 1.25)
    assert ended.ended_ms >= ended.started_ms
    assert await studio.ledger.results([job.id]) == [b'{"o": 1}']
    assert [one.id for one in await studio.ledger.ended("ann")] == [job.id]
    event = await last_event(studio.ledger)
    assert (event.kind, event.state, event.frames) == (EventKind.SETTLED, state, b"[[1]]")
    assert (event.remaining, event.reason) == (0, reason.value if reason else "")
    await assert_free(studio)


async def assert_free(studio: Studio) -> None:
    worker = await studio.worker()
    assert (worker.job, worker.reserved_bytes) == ("", 0)
    assert (await studio.ledger.snapshot(4)).active == {}
    assert await studio.ledger.held("host") == []


@pytest.mark.parametrize("ending", list(Ending))
async def test_settling_twice_answers_the_same_and_changes_nothing(
    studio: Studio, dump: Callable[[], Dump], ending: Ending
) -> None:
    job = await studio.run()
    first = await studio.ledger.settle(job.id, 1, outcome(ending))
    before = dump()
    assert await studio.ledger.settle(job.id, 1, outcome(ending)) == first
    assert await studio.ledger.settle(job.id, 1, outcome(Ending.SUCCEEDED)) == first
    assert dump() == before


async def test_a_repeated_settle_answers_the_same_while_the_next_attempt_runs(
    studio: Studio, dump: Callable[[], Dump]
) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome(Ending.LOST))
    await studio.run(await studio.job(job.id))
    before = dump()
    reply = await studio.ledger.settle(job.id, 1, outcome(Ending.LOST))
    assert reply == Settled(JobState.QUEUED)
    assert dump() == before


async def test_a_late_settle_does_not_free_the_worker_under_another_job(studio: Studio) -> None:
    late = await studio.run(lease_ms=-1)
    await studio.ledger.reap(studio.epoch, 2)
    other = await studio.run(await studio.submit(new_job("bob")))
    assert await studio.ledger.settle(late.id, 1, outcome()) == Refusal.FENCED
    worker = await studio.worker()
    assert (worker.job, worker.reserved_bytes) == (other.id, other.reserved_bytes)


@pytest.mark.parametrize("attempt", [0, 2])
async def test_settling_another_attempt_is_fenced(
    studio: Studio, dump: Callable[[], Dump], attempt: int
) -> None:
    job = await studio.run()
    before = dump()
    assert await studio.ledger.settle(job.id, attempt, outcome()) == Refusal.FENCED
    assert dump() == before


async def test_an_attempt_that_never_ran_cannot_have_succeeded(studio: Studio) -> None:
    job = await studio.reserve()
    assert await studio.ledger.settle(job.id, 1, outcome()) == Refusal.FENCED


async def test_an_attempt_that_its_worker_refused_fails_unclaimed(studio: Studio) -> None:
    job = await studio.reserve()
    closing = outcome(Ending.FAILED, reason=FailReason.NODE_ERROR)
    assert await studio.ledger.settle(job.id, 1, closing) == Settled(JobState.FAILED)
    await assert_free(studio)


async def test_a_lost_job_gets_its_old_place_and_a_new_attempt(studio: Studio) -> None:
    first = await studio.submit()
    second = await studio.submit()
    await studio.run(first)
    reply = await studio.ledger.settle(first.id, 1, outcome(Ending.LOST))
    assert reply == Settled(JobState.QUEUED)
    job = await studio.job(first.id)
    assert (job.state, job.losses, job.attempt) == (JobState.QUEUED, 1, 1)
    assert (job.worker, job.gpu, job.reserved_bytes, job.attempt_uuid) == ("", "", 0, "")
    assert (job.sid, job.admitted_ms, job.started_ms) == ("", 0, 0)
    assert [one.id for one in await studio.ledger.unfinished("ann")] == [first.id, second.id]
    assert await studio.ledger.results([first.id]) == [None]
    event = await last_event(studio.ledger)
    assert (event.kind, event.reason, event.worker) == (EventKind.REQUEUED, "lost", "host-0")
    await assert_free(studio)
    again = await studio.run(job)
    assert again.attempt == 2


async def lose_until_it_ends(studio: Studio, job: Job) -> Job:
    for _ in range(10):
        job = await studio.job(job.id)
        if job.state is not JobState.QUEUED:
            break
        running = await studio.run(job)
        await studio.ledger.settle(running.id, running.attempt, outcome(Ending.LOST, frames=b"[]"))
    return job


async def test_a_returned_job_gets_its_old_place_and_nobody_is_blamed(studio: Studio) -> None:
    first = await studio.submit()
    second = await studio.submit()
    for attempt in range(1, 6):
        await studio.run(await studio.job(first.id))
        reply = await studio.ledger.settle(first.id, attempt, outcome(Ending.RETURNED))
        assert reply == Settled(JobState.QUEUED)
    job = await studio.job(first.id)
    assert (job.losses, job.attempt, job.worker, job.reason) == (0, 5, "", None)
    assert [one.id for one in await studio.ledger.unfinished("ann")] == [first.id, second.id]
    event = await last_event(studio.ledger)
    assert (event.kind, event.reason) == (EventKind.REQUEUED, "returned")
    await assert_free(studio)


async def test_a_job_that_has_not_begun_can_be_returned(studio: Studio) -> None:
    job = await studio.reserve()
    reply = await studio.ledger.settle(job.id, 1, outcome(Ending.RETURNED))
    assert reply == Settled(JobState.QUEUED)
    assert (await studio.job(job.id)).losses == 0


async def test_a_job_lost_as_often_as_allowed_ends_as_poison(studio: Studio) -> None:
    job = await lose_until_it_ends(studio, await studio.submit())
    assert (job.state, job.reason) == (JobState.FAILED, FailReason.POISON)
    assert (job.losses, job.attempt) == (3, 3)
    event = await last_event(studio.ledger)
    ((kind, data),) = json.loads(event.frames)
    assert kind == "execution_error"
    assert data["prompt_id"] == job.prompt_id
    assert "lost" in data["exception_message"]
    (result,) = await studio.ledger.results([job.id])
    assert result is not None
    assert json.loads(result)["status"]["messages"] == [[kind, data]]
    await assert_free(studio)


async def test_how_often_it_may_be_lost_can_be_set(connect: Connect) -> None:
    ledger = connect(max_losses=2)
    studio = await Studio(ledger).open()
    job = await lose_until_it_ends(studio, await studio.submit())
    assert (job.reason, job.losses) == (FailReason.POISON, 2)
    await ledger.close()


async def test_out_of_memory_is_tried_once_more_with_more(studio: Studio) -> None:
    job = await studio.run()
    closing = outcome(Ending.OOM, retry_bytes=9 * GIB, peak_bytes=5 * GIB)
    assert await studio.ledger.settle(job.id, 1, closing) == Settled(JobState.QUEUED)
    queued = await studio.job(job.id)
    assert (queued.need_bytes, queued.ooms, queued.losses) == (9 * GIB, 1, 0)
    assert (await last_event(studio.ledger)).reason == "oom"
    await studio.run(queued)
    closing = outcome(Ending.OOM, result=b'{"r": 2}', frames=b"[[2]]", retry_bytes=12 * GIB)
    assert await studio.ledger.settle(job.id, 2, closing) == Settled(JobState.FAILED)
    failed = await studio.job(job.id)
    assert (failed.state, failed.reason, failed.ooms) == (JobState.FAILED, FailReason.OOM, 2)
    assert await studio.ledger.results([job.id]) == [b'{"r": 2}']
    assert (await last_event(studio.ledger)).frames == b"[[2]]"


async def test_a_trial_that_runs_out_of_memory_costs_its_job_nothing_but_time(
    studio: Studio,
) -> None:
    job, worker = await studio.submit(), await studio.worker()
    trial = grant(GIB, trial=True)
    assert isinstance(
        await studio.ledger.admit(studio.epoch, job, worker, trial, LEASE_MS), Admitted
    )
    assert (await studio.job(job.id)).trial
    await studio.ledger.claim(job.id, 1, worker.id, "uuid", "sid", LEASE_MS)
    closing = outcome(Ending.OOM, retry_bytes=9 * GIB, peak_bytes=GIB)
    assert await studio.ledger.settle(job.id, 1, closing) == Settled(JobState.QUEUED)
    queued = await studio.job(job.id)
    assert (queued.need_bytes, queued.ooms, queued.trial) == (job.need_bytes, 0, False)
    again = await studio.run(queued)
    assert not again.trial
    await studio.ledger.settle(job.id, 2, outcome(Ending.OOM, retry_bytes=9 * GIB))
    assert (await studio.job(job.id)).state is JobState.QUEUED


async def test_out_of_memory_without_a_figure_keeps_the_need(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome(Ending.OOM))
    assert (await studio.job(job.id)).need_bytes == job.need_bytes


@pytest.mark.parametrize(
    ("ending", "reason", "state"),
    [
        (Ending.CANCELLED, None, JobState.CANCELLED),
        (Ending.LOST, None, JobState.CANCELLED),
        (Ending.RETURNED, None, JobState.CANCELLED),
        (Ending.OOM, None, JobState.CANCELLED),
        (Ending.FAILED, FailReason.HUNG, JobState.CANCELLED),
        (Ending.FAILED, FailReason.NODE_ERROR, JobState.FAILED),
        (Ending.SUCCEEDED, None, JobState.SUCCEEDED),
    ],
)
async def test_a_job_being_cancelled_ends_so_unless_it_ended_by_itself(
    studio: Studio, ending: Ending, reason: FailReason | None, state: JobState
) -> None:
    job = await studio.run()
    await studio.ledger.cancel("ann", job.id)
    reply = await studio.ledger.settle(job.id, 1, outcome(ending, reason=reason))
    assert reply == Settled(state)
    assert [one.id for one in await studio.ledger.ended("ann")] == [job.id]
    assert (await last_event(studio.ledger)).frames != b"[]"
    await assert_free(studio)


async def test_of_many_racing_settles_one_writes(studio: Studio) -> None:
    job = await studio.run()
    endings = [Ending.SUCCEEDED, Ending.LOST, Ending.FAILED, Ending.CANCELLED] * 5
    replies = await asyncio.gather(
        *(studio.ledger.settle(job.id, 1, outcome(ending)) for ending in endings)
    )
    assert len(set(replies)) == 1
    assert (await studio.kinds()).count("settled") + (await studio.kinds()).count("requeued") == 1


# ── residency after the end ──────────────────────────────────────────────────


async def neighbour_fits(studio: Studio, need: int) -> bool:
    other = await studio.submit(new_job("bob", need_bytes=need))
    return isinstance(await studio.admit(other, "host-1"), Admitted)


async def test_after_the_end_the_worker_holds_its_peak_until_it_reports_again(
    studio: Studio,
) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome(peak_bytes=12 * GIB))
    assert (await studio.worker()).used_bytes == 12 * GIB
    assert not await neighbour_fits(studio, 9 * GIB)
    await studio.ledger.report(two_workers())
    assert await neighbour_fits(studio, 9 * GIB)


async def test_a_residency_above_the_peak_stays_as_reported(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.report(
        report(workers=[worker("host-0", used_bytes=14 * GIB), worker("host-1")], gpus=[gpu()])
    )
    await studio.ledger.settle(job.id, 1, outcome(peak_bytes=12 * GIB))
    assert (await studio.worker()).used_bytes == 14 * GIB


async def test_an_out_of_memory_leaves_its_peak_behind_too(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome(Ending.OOM, peak_bytes=12 * GIB))
    assert (await studio.worker()).used_bytes == 12 * GIB


@pytest.mark.parametrize("ending", [Ending.LOST, Ending.RETURNED])
async def test_a_lost_worker_holds_nothing_more(studio: Studio, ending: Ending) -> None:
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome(ending, peak_bytes=12 * GIB))
    assert (await studio.worker()).used_bytes == 0


async def test_a_worker_that_is_down_holds_nothing_more(studio: Studio) -> None:
    job = await studio.run()
    down = worker("host-0", state=WorkerState.DOWN)
    await studio.ledger.report(report(workers=[down, worker("host-1")], gpus=[gpu()]))
    closing = outcome(Ending.FAILED, reason=FailReason.HUNG, peak_bytes=12 * GIB)
    await studio.ledger.settle(job.id, 1, closing)
    assert (await studio.worker()).used_bytes == 0


# ── held, orders ─────────────────────────────────────────────────────────────


async def test_held_is_what_runs_on_the_agents_workers(studio: Studio) -> None:
    running = await studio.run(worker_id="host-0")
    reserved = await studio.reserve(worker_id="host-1")
    await studio.submit()
    assert {job.id for job in await studio.ledger.held("host")} == {running.id, reserved.id}
    assert await studio.ledger.held("other") == []


async def test_an_empty_inbox_answers_none(studio: Studio) -> None:
    assert await studio.ledger.next_order("host", 0.05) is None


async def test_an_order_wakes_who_waits_for_it(studio: Studio) -> None:
    waiting = asyncio.create_task(studio.ledger.next_order("host", 5))
    job = await studio.reserve()
    order = await waiting
    assert order is not None
    assert order.job == job.id
