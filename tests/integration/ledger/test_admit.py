"""admit: the one place where memory is promised checks everything again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from scheduler.ledger import Admitted, EventKind, Ledger, Order, OrderKind, Refusal
from scheduler.states import GpuState, JobState, WaitReason, WorkerState
from tests.factories import GIB, gpu, grant, new_job, report, worker
from tests.integration.ledger.conftest import LEASE_MS, Connect, Dump, Studio, two_workers


async def test_admission_reserves_job_worker_and_bytes(studio: Studio) -> None:
    queued = await studio.submit()
    reply = await studio.ledger.admit(
        studio.epoch, queued, await studio.worker(), grant(5 * GIB, 20 * GIB), LEASE_MS
    )
    assert reply == Admitted(1)
    job = await studio.job(queued.id)
    assert (job.state, job.rev, job.attempt) == (JobState.RESERVED, queued.rev + 1, 1)
    assert (job.worker, job.gpu, job.reserved_bytes) == ("host-0", "gpu-0", 5 * GIB)
    assert job.admitted_ms >= job.submitted_ms
    held = await studio.worker()
    assert (held.job, held.reserved_bytes, held.hold_bytes) == (job.id, 5 * GIB, 5 * GIB)


async def test_the_agent_is_told_and_an_event_says_so(studio: Studio) -> None:
    job = await studio.reserve()
    assert await studio.ledger.next_order("host", 1) == Order(OrderKind.RUN, "host-0", job.id, 1)
    event = (await studio.ledger.events("0-0", 0))[-1]
    assert (event.kind, event.state) == (EventKind.ADMITTED, JobState.RESERVED)
    assert (event.worker, event.gpu, event.attempt) == ("host-0", "gpu-0", 1)
    assert event.remaining == 1


async def test_the_reason_to_wait_is_gone_once_admitted(studio: Studio) -> None:
    queued = await studio.submit()
    await studio.ledger.explain(
        studio.epoch, {queued.id: (WaitReason.NO_HEADROOM, "6 GiB missing", "gpu-0")}
    )
    job = await studio.reserve(queued)
    assert (job.wait_reason, job.wait_detail, job.wait_blocker) == (None, "", "")


async def test_round_robin_remembers_the_last_admission(studio: Studio) -> None:
    await studio.reserve()
    await studio.submit()
    (backlog,) = (await studio.ledger.snapshot(4)).backlogs
    assert (
        backlog.last_admitted_ms
        == (await studio.ledger.snapshot(4)).active.popitem()[1].admitted_ms
    )


@pytest.mark.parametrize(
    ("need", "fits"), [(12 * GIB, True), (12 * GIB + 1, False)], ids=["to the byte", "one more"]
)
async def test_need_and_the_other_workers_holds_fit_the_capacity(
    studio: Studio, need: int, fits: bool
) -> None:
    await studio.ledger.report(
        report(workers=[worker("host-0", used_bytes=9 * GIB), worker("host-1")], gpus=[gpu()])
    )
    # host-0 holds max(9 used, 8 reserved); what host-1 itself holds does not count against it
    await studio.reserve(await studio.submit(new_job(need_bytes=8 * GIB)), "host-0")
    queued = await studio.submit(new_job(need_bytes=need))
    reply = await studio.ledger.admit(
        studio.epoch, queued, await studio.worker("host-1"), grant(need, 21 * GIB), LEASE_MS
    )
    assert reply == (Admitted(1) if fits else Refusal.NO_FIT)


async def test_a_reservation_counts_where_less_is_used_yet(studio: Studio) -> None:
    await studio.reserve(await studio.submit(new_job(need_bytes=12 * GIB)), "host-0")
    queued = await studio.submit(new_job(need_bytes=9 * GIB))
    assert await studio.admit(queued, "host-1") == Refusal.NO_FIT


async def test_its_own_residency_does_not_count_against_a_worker(studio: Studio) -> None:
    await studio.ledger.report(report(workers=[worker(used_bytes=18 * GIB)], gpus=[gpu()]))
    assert await studio.admit(await studio.submit()) == Admitted(1)


async def test_workers_of_other_gpus_do_not_count(studio: Studio) -> None:
    await studio.ledger.report(
        report(
            workers=[worker("host-0"), worker("host-1", "gpu-1", used_bytes=20 * GIB)],
            gpus=[gpu(), gpu("gpu-1", index=1)],
        )
    )
    assert await studio.admit(await studio.submit()) == Admitted(1)


async def test_capacity_zero_counts_no_bytes(studio: Studio) -> None:
    await studio.reserve(worker_id="host-1")
    queued = await studio.submit()
    reply = await studio.ledger.admit(
        studio.epoch, queued, await studio.worker(), grant(100 * GIB, 0), LEASE_MS
    )
    assert reply == Admitted(1)


async def test_a_worker_without_gpu_takes_jobs_without_counting_bytes(ledger: Ledger) -> None:
    studio = await Studio(ledger).open(report(workers=[worker("cpu-0", "")], gpus=[]))
    job = await studio.reserve(await studio.submit(new_job(needs_gpu=False)), "cpu-0")
    assert job.gpu == ""


async def refusal_of_a_stale_epoch(studio: Studio) -> Refusal:
    return await admit_changed(studio, epoch=studio.epoch - 1)


async def refusal_of_an_epoch_to_come(studio: Studio) -> Refusal:
    return await admit_changed(studio, epoch=studio.epoch + 1)


async def refusal_of_an_old_rev(studio: Studio) -> Refusal:
    return await admit_changed(studio, rev=7)


async def refusal_of_an_unknown_job(studio: Studio) -> Refusal:
    return await admit_changed(studio, id="no-such-job")


async def admit_changed(studio: Studio, epoch: int | None = None, **changes: object) -> Refusal:
    queued = replace((await studio.ledger.unfinished("ann"))[0], **changes)  # type: ignore[arg-type]
    reply = await studio.ledger.admit(
        studio.epoch if epoch is None else epoch,
        queued,
        await studio.worker(),
        grant(GIB),
        LEASE_MS,
    )
    assert isinstance(reply, Refusal)
    return reply


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (refusal_of_a_stale_epoch, Refusal.STALE_LEADER),
        (refusal_of_an_epoch_to_come, Refusal.STALE_LEADER),
        (refusal_of_an_old_rev, Refusal.CONFLICT),
        (refusal_of_an_unknown_job, Refusal.UNKNOWN),
    ],
)
async def test_a_refused_admission_changes_nothing(
    studio: Studio,
    dump: Callable[[], Dump],
    attempt: Callable[[Studio], object],
    expected: Refusal,
) -> None:
    await studio.submit()
    before = dump()
    assert await attempt(studio) == expected  # type: ignore[misc]
    assert dump() == before


@pytest.mark.parametrize("state", [WorkerState.DOWN, WorkerState.RELEASING])
async def test_a_worker_that_is_not_ready_gets_nothing(studio: Studio, state: WorkerState) -> None:
    queued = await studio.submit()
    if state is WorkerState.RELEASING:
        await studio.ledger.release(studio.epoch, "host-0")
    else:
        await studio.ledger.report(report(workers=[worker("host-0", state=state)], gpus=[gpu()]))
    assert await studio.admit(queued) == Refusal.WORKER_GONE


async def test_a_worker_that_moved_to_another_gpu_gets_nothing(studio: Studio) -> None:
    queued = await studio.submit()
    seen = await studio.worker()
    await studio.ledger.report(report(workers=[worker("host-0", "gpu-1")], gpus=[gpu("gpu-1")]))
    reply = await studio.ledger.admit(studio.epoch, queued, seen, grant(GIB, 20 * GIB), LEASE_MS)
    assert reply == Refusal.WORKER_GONE


async def test_a_busy_worker_gets_no_second_job(studio: Studio) -> None:
    await studio.reserve()
    assert await studio.admit(await studio.submit()) == Refusal.CONFLICT


async def test_a_suspect_gpu_gets_nothing(studio: Studio) -> None:
    await studio.ledger.report(two_workers(state=GpuState.SUSPECT))
    assert await studio.admit(await studio.submit()) == Refusal.GPU_GONE


async def test_a_gpu_that_is_no_longer_reported_gets_nothing(studio: Studio) -> None:
    await studio.ledger.report(report(workers=[worker("host-0")], gpus=[]))
    assert await studio.admit(await studio.submit()) == Refusal.GPU_GONE


async def test_an_agent_that_fell_silent_gets_nothing(connect: Connect) -> None:
    ledger = connect(heartbeat_ms=-1)
    studio = await Studio(ledger).open()
    assert await studio.admit(await studio.submit()) == Refusal.WORKER_GONE
    await ledger.close()


async def test_two_leaders_racing_for_one_gpu_never_promise_too_much(studio: Studio) -> None:
    """Ten workers, forty jobs of 4 GiB, 20 GiB: exactly five run, whoever asks."""
    names = [f"host-{n}" for n in range(10)]
    await studio.ledger.report(report(workers=[worker(name) for name in names], gpus=[gpu()]))
    jobs = [await studio.submit() for _ in range(40)]
    workers = [await studio.worker(name) for name in names]
    replies = await asyncio.gather(
        *(
            studio.ledger.admit(
                studio.epoch, job, workers[(n + shift) % 10], grant(4 * GIB, 20 * GIB), LEASE_MS
            )
            for shift in (0, 3)
            for n, job in enumerate(jobs)
        )
    )
    assert sum(isinstance(reply, Admitted) for reply in replies) == 5
    reserved = [worker.reserved_bytes for worker in (await studio.ledger.pool()).workers.values()]
    assert sum(reserved) == 20 * GIB


async def test_the_same_call_repeated_after_a_lost_answer_answers_the_same(
    connect: Connect, dump: Callable[[], Dump]
) -> None:
    ledger = connect(new_call=lambda: "one-call")
    studio = await Studio(ledger).open()
    queued = await studio.submit()
    assert await studio.admit(queued) == Admitted(1)
    before = dump()
    assert await studio.admit(queued) == Admitted(1)
    assert dump() == before
    await ledger.close()
