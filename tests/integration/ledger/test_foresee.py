"""When queued jobs should start, as the leader writes it and everybody reads it."""

from __future__ import annotations

from scheduler.ledger import CancelReply, Ending, Trust
from tests.factories import outcome
from tests.integration.ledger.conftest import Studio

TRUST = Trust(p50_factor=1.25, p90_factor=2.5, coverage=0.875, scored=40)


async def test_queued_jobs_say_when_they_should_start(studio: Studio) -> None:
    queued, running = await studio.submit(), await studio.run()
    events = len(await studio.kinds())
    starts = {queued.id: (1_000, 2_000), running.id: (1_000, 2_000), "nope": (1, 2)}
    await studio.ledger.foresee(studio.epoch, starts, TRUST)
    job = await studio.job(queued.id)
    assert (job.start_p50_ms, job.start_p90_ms) == (1_000, 2_000)
    assert job.rev == queued.rev
    assert (await studio.job(running.id)).start_p50_ms == 0
    assert len(await studio.kinds()) == events


async def test_snapshots_show_the_newest_forecast(studio: Studio) -> None:
    queued = await studio.submit()
    for at_ms in (0, 1_000, 5_000):
        await studio.ledger.foresee(studio.epoch, {queued.id: (at_ms, at_ms)}, TRUST)
        (backlog,) = (await studio.ledger.snapshot(4)).backlogs
        assert backlog.jobs[0].start_p90_ms == at_ms


async def test_everybody_can_read_what_forecasts_were_worth(studio: Studio) -> None:
    assert await studio.ledger.trust() == Trust()
    await studio.ledger.foresee(studio.epoch, {}, TRUST)
    assert await studio.ledger.trust() == TRUST


async def test_a_stale_leader_foresees_nothing(studio: Studio) -> None:
    queued = await studio.submit()
    await studio.ledger.foresee(studio.epoch - 1, {queued.id: (1_000, 2_000)}, TRUST)
    assert (await studio.job(queued.id)).start_p90_ms == 0
    assert await studio.ledger.trust() == Trust()


async def test_hundreds_are_foreseen_at_once(studio: Studio) -> None:
    jobs = [await studio.submit() for _ in range(250)]
    starts = {job.id: (n, 2 * n) for n, job in enumerate(jobs, 1)}
    await studio.ledger.foresee(studio.epoch, starts, TRUST)
    foreseen = await studio.ledger.unfinished("ann")
    assert [(job.start_p50_ms, job.start_p90_ms) for job in foreseen] == list(starts.values())


async def test_a_forecast_is_gone_once_the_job_is_admitted_and_when_it_comes_back(
    studio: Studio,
) -> None:
    queued = await studio.submit()
    await studio.ledger.foresee(studio.epoch, {queued.id: (1_000, 2_000)}, TRUST)
    running = await studio.run(queued)
    assert (running.start_p50_ms, running.start_p90_ms) == (0, 0)
    await studio.ledger.settle(running.id, running.attempt, outcome(Ending.RETURNED))
    assert (await studio.job(queued.id)).start_p90_ms == 0


async def test_a_held_job_has_no_forecast(studio: Studio) -> None:
    queued = await studio.submit()
    await studio.ledger.foresee(studio.epoch, {queued.id: (1_000, 2_000)}, TRUST)
    await studio.ledger.hold("ann", queued.id, held=True)
    assert (await studio.job(queued.id)).start_p90_ms == 0
    await studio.ledger.foresee(studio.epoch, {queued.id: (1_000, 2_000)}, TRUST)
    assert (await studio.job(queued.id)).start_p90_ms == 0


async def test_a_cancelled_job_has_no_forecast(studio: Studio) -> None:
    queued = await studio.submit()
    await studio.ledger.foresee(studio.epoch, {queued.id: (1_000, 2_000)}, TRUST)
    assert isinstance(await studio.ledger.cancel("ann", queued.id), CancelReply)
    assert (await studio.job(queued.id)).start_p50_ms == 0
