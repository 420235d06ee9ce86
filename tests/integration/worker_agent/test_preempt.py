"""A job that makes room for another is given back, unless it ends by itself first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scheduler.ledger import Order, OrderKind
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState
from tests.integration.worker_agent.bed import AGENT, Bed, fake_spec, make_agent, running

Go = Callable[[], None]
WORKER = f"{AGENT}-0"


async def preempt(bed: Bed, job_id: str) -> None:
    epoch = await bed.ledger.lead("test", 60_000)
    assert epoch is not None
    assert await bed.ledger.preempt(epoch, await bed.job(job_id))


class DroppingLedger(RedisLedger):
    """The real ledger, with orders to preempt lost on their way."""

    dropped = 0

    async def next_order(self, agent: str, timeout_s: float) -> Order | None:
        order = await super().next_order(agent, timeout_s)
        if order is not None and order.kind is OrderKind.PREEMPT:
            self.dropped += 1
            return None
        return order


async def test_a_preempted_prompt_is_interrupted_and_runs_again_later(bed: Bed, go: Go) -> None:
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
    await bed.running(job.id)
    await preempt(bed, job.id)
    back = await bed.until_state(job.id, JobState.QUEUED)
    assert (back.preemptions, back.losses, back.ooms) == (1, 0, 0)
    assert (await bed.seen())["interrupts"] == [job.id]
    # its user was told of no end
    assert await bed.settlements(job.id) == []
    go()
    await bed.admit(job.id)
    ended = await bed.until_ended(job.id)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)


async def interrupted(bed: Bed, job_id: str) -> None:
    """Wait until its worker was told to stop."""

    async def told() -> bool:
        return job_id in (await bed.seen())["interrupts"]

    await bed.until(told)


async def test_what_ends_before_the_interrupt_works_counts_as_it_ended(bed: Bed, go: Go) -> None:
    job = await bed.start({"1": {"class_type": "Stuck", "inputs": {}}})
    await bed.running(job.id)
    await preempt(bed, job.id)
    await interrupted(bed, job.id)
    go()
    ended = await bed.until_ended(job.id)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
    assert (await bed.seen())["interrupts"] == [job.id]


async def test_who_cancels_a_preempted_job_gets_that(bed: Bed, go: Go) -> None:
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
    await bed.running(job.id)
    await preempt(bed, job.id)
    await bed.ledger.cancel("ann", job.id)
    assert (await bed.until_ended(job.id)).state is JobState.CANCELLED
    job = await bed.start({"1": {"class_type": "Stuck", "inputs": {}}})
    await bed.running(job.id)
    await preempt(bed, job.id)
    await bed.ledger.cancel("ann", job.id)
    await interrupted(bed, job.id)
    go()
    # it ended by itself before either was heard
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED


async def test_an_order_that_was_lost_is_told_again(
    valkey_url: str, pool_name: str, ledger: RedisLedger, tmp_path: Path
) -> None:
    dropping = DroppingLedger.connect(valkey_url, pool_name)
    specs = [fake_spec(tmp_path)]
    agent = make_agent(dropping, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
        await bed.running(job.id)
        await preempt(bed, job.id)
        back = await bed.until_state(job.id, JobState.QUEUED)
        assert (dropping.dropped, back.preemptions, back.losses) == (1, 1, 0)
    await dropping.close()


async def test_an_order_for_an_earlier_attempt_stops_nothing(bed: Bed, go: Go) -> None:
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
    await bed.running(job.id)
    await preempt(bed, job.id)
    await bed.until_state(job.id, JobState.QUEUED)
    await bed.admit(job.id)
    await bed.until_state(job.id, JobState.RUNNING)
    bed.agent._drivers[WORKER].order(Order(OrderKind.PREEMPT, WORKER, job.id, 1))
    go()
    assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
    assert (await bed.seen())["interrupts"] == [job.id]
