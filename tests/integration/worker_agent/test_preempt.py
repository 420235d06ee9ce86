"""A job that makes room for another is given back, unless it ends by itself first."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.ledger import Order, OrderKind
from scheduler.states import JobState
from tests.integration.worker_agent.bed import AGENT, Bed

Go = Callable[[], None]
WORKER = f"{AGENT}-0"


def preempt(bed: Bed, job_id: str, attempt: int = 1) -> None:
    bed.agent._drivers[WORKER].order(Order(OrderKind.PREEMPT, WORKER, job_id, attempt))


async def test_a_preempted_prompt_is_interrupted_and_runs_again_later(bed: Bed, go: Go) -> None:
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
    await bed.running(job.id)
    preempt(bed, job.id)
    back = await bed.until_state(job.id, JobState.QUEUED)
    assert (back.losses, back.ooms) == (0, 0)
    assert (await bed.seen())["interrupts"] == [job.id]
    # its user was told of no end
    assert await bed.settlements(job.id) == []
    go()
    await bed.admit(job.id)
    ended = await bed.until_ended(job.id)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)


async def test_what_ends_before_the_interrupt_works_counts_as_it_ended(bed: Bed) -> None:
    job = await bed.start({"1": {"class_type": "Deaf", "inputs": {"seconds": 1}}})
    await bed.running(job.id)
    preempt(bed, job.id)
    ended = await bed.until_ended(job.id)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
    assert (await bed.seen())["interrupts"] == [job.id]


async def test_who_cancels_a_preempted_job_gets_that(bed: Bed) -> None:
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
    await bed.running(job.id)
    await bed.ledger.cancel("ann", job.id)
    preempt(bed, job.id)
    assert (await bed.until_ended(job.id)).state is JobState.CANCELLED


async def test_an_order_for_an_earlier_attempt_stops_nothing(bed: Bed, go: Go) -> None:
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
    await bed.running(job.id)
    preempt(bed, job.id)
    await bed.until_state(job.id, JobState.QUEUED)
    await bed.admit(job.id)
    await bed.until_state(job.id, JobState.RUNNING)
    preempt(bed, job.id, attempt=1)
    go()
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    assert (await bed.seen())["interrupts"] == [job.id]
