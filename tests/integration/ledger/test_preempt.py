"""preempt, deadlines, failures of workers, and what else plans are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scheduler.ledger import CancelReply, Ending, EventKind, Order, OrderKind
from scheduler.states import Agent, FailReason, Job, JobState, MemoryLimit, WorkerState
from tests.factories import gpu, new_job, outcome, report, worker
from tests.integration.ledger.conftest import PASSED_MS, Dump, Studio, two_workers

# ── preemption ───────────────────────────────────────────────────────────────


async def test_a_preempted_job_runs_on_until_its_agent_gives_it_back(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.next_order("host", 1)
    assert await studio.ledger.preempt(studio.epoch, job)
    order = await studio.ledger.next_order("host", 1)
    assert order == Order(OrderKind.PREEMPT, "host-0", job.id, 1)
    told = await studio.job(job.id)
    assert (told.state, told.preempting, told.rev) == (JobState.RUNNING, True, job.rev + 1)
    assert (await studio.kinds())[-1] == EventKind.PREEMPTING
    await studio.ledger.settle(job.id, 1, outcome(Ending.RETURNED))
    back = await studio.job(job.id)
    assert (back.state, back.preempting, back.preemptions) == (JobState.QUEUED, False, 1)
    assert (back.losses, back.user_cost) == (0, 0)
    event = (await studio.ledger.events("0-0", 0))[-1]
    assert (event.kind, event.reason) == (EventKind.REQUEUED, "preempted")


async def test_told_twice_is_told_once(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.preempt(studio.epoch, job)
    await studio.ledger.next_order("host", 1)
    assert await studio.ledger.preempt(studio.epoch, await studio.job(job.id))
    assert not await studio.ledger.preempt(studio.epoch, job)
    assert await studio.ledger.next_order("host", 1) != await studio.ledger.next_order("host", 0.01)
    assert (await studio.kinds()).count(EventKind.PREEMPTING) == 1


@pytest.mark.parametrize("stale", [True, False])
async def test_a_stale_leader_and_a_job_that_does_not_run_change_nothing(
    studio: Studio, dump: Callable[[], Dump], stale: bool
) -> None:
    job = await studio.run() if stale else await studio.reserve()
    before = dump()
    assert not await studio.ledger.preempt(studio.epoch - stale, job)
    assert dump() == before


async def test_who_ends_before_the_interrupt_has_ended(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.preempt(studio.epoch, job)
    await studio.ledger.settle(job.id, 1, outcome())
    ended = await studio.job(job.id)
    assert (ended.state, ended.preemptions) == (JobState.SUCCEEDED, 0)
    assert not ended.preempting


async def test_a_cancelled_job_that_was_to_be_preempted_is_cancelled(studio: Studio) -> None:
    job = await studio.run()
    await studio.ledger.preempt(studio.epoch, job)
    cancelling = CancelReply(JobState.CANCELLING, changed=True)
    assert await studio.ledger.cancel("ann", job.id) == cancelling
    await studio.ledger.settle(job.id, 1, outcome(Ending.RETURNED))
    assert (await studio.job(job.id)).state is JobState.CANCELLED


# ── deadlines ────────────────────────────────────────────────────────────────


async def test_a_deadline_is_a_time_of_the_ledger_s_clock(studio: Studio) -> None:
    job = await studio.submit(new_job(deadline_s=1.5))
    assert job.deadline_ms == job.submitted_ms + 1500
    assert (await studio.submit(new_job())).deadline_ms == 0


# ── failures of workers ──────────────────────────────────────────────────────


async def failures(studio: Studio) -> int:
    found = await studio.worker()
    assert (found.failed_ms > 0) or found.failures == 0
    return found.failures


async def fail(studio: Studio, job: Job, ending: Ending = Ending.LOST) -> None:
    running = await studio.run(job)
    reason = FailReason.HUNG if ending is Ending.FAILED else None
    await studio.ledger.settle(job.id, running.attempt, outcome(ending, reason=reason))


async def test_losses_and_hung_jobs_count_against_their_worker(studio: Studio) -> None:
    await fail(studio, await studio.submit())
    await fail(studio, await studio.submit(), Ending.FAILED)
    assert await failures(studio) == 2
    await studio.run(await studio.submit(), lease_ms=PASSED_MS)
    await studio.ledger.reap(studio.epoch, 3)
    assert await failures(studio) == 3
    (seen, _) = (await studio.ledger.snapshot(1)).workers
    assert seen.failures == 3


async def test_one_job_counts_once_in_a_row(studio: Studio) -> None:
    job = await studio.submit()
    await fail(studio, job)
    await fail(studio, await studio.job(job.id))
    assert await failures(studio) == 1


async def test_a_success_makes_good_and_other_ends_leave_it(studio: Studio) -> None:
    await fail(studio, await studio.submit())
    for ending in (Ending.OOM, Ending.RETURNED, Ending.CANCELLED):
        await fail(studio, await studio.submit(), ending)
        assert await failures(studio) == 1
    job = await studio.run()
    await studio.ledger.settle(job.id, 1, outcome())
    assert await failures(studio) == 0


async def test_a_worker_that_restarts_keeps_the_count(studio: Studio) -> None:
    await fail(studio, await studio.submit())
    await studio.ledger.report(report(workers=[worker(state=WorkerState.DOWN)], gpus=[gpu()]))
    await studio.ledger.report(two_workers())
    assert await failures(studio) == 1


# ── what agents report of hosts and limits ───────────────────────────────────


async def test_host_memory_and_limits_are_shown_to_plans(studio: Studio) -> None:
    host = Agent(
        id="host",
        url="http://127.0.0.1:1",
        version="1",
        heartbeat_ms=0,
        host_total_bytes=64,
        host_available_bytes=48,
    )
    one = worker("host-0", limit=MemoryLimit.ENFORCED, host_used_bytes=7)
    heartbeat = report(workers=[one], gpus=[gpu()])
    await studio.ledger.report(type(heartbeat)(agent=host, workers=[one], gpus=[gpu()]))
    snapshot = await studio.ledger.snapshot(1)
    (agent,) = snapshot.agents
    assert (agent.host_total_bytes, agent.host_available_bytes) == (64, 48)
    assert snapshot.workers[0].limit is MemoryLimit.ENFORCED
    assert snapshot.workers[0].host_used_bytes == 7
    assert snapshot.agents == tuple((await studio.ledger.pool()).agents.values())
