"""report: an agent's word, merged with what the ledger knows better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.fleet import PROTOCOL, Vitals
from scheduler.ledger import Event, EventKind, Ledger, Order, OrderKind, Refusal, Report
from scheduler.states import GpuState, MemorySource, WorkerState
from tests.factories import GIB, gpu, grant, new_job, outcome, report, worker
from tests.integration.ledger.conftest import LEASE_MS, Connect, Studio, two_workers

MIB = 2**20


async def capacity_events(ledger: Ledger) -> list[Event]:
    return [one for one in await ledger.events("0-0", 0) if one.kind is EventKind.CAPACITY]


async def events_of(ledger: Ledger, heartbeat: Report) -> list[Event]:
    before = len(await capacity_events(ledger))
    await ledger.report(heartbeat)
    return (await capacity_events(ledger))[before:]


async def test_what_was_reported_is_what_is_read(ledger: Ledger) -> None:
    heartbeat = report(
        workers=[worker("host-0", used_bytes=5, models=("a", "ü"), has_probe=False)],
        gpus=[
            gpu(
                index=3,
                used_bytes=7,
                foreign_bytes=2,
                state=GpuState.SUSPECT,
                memory_source=MemorySource.SYSTEM_STATS,
            )
        ],
    )
    await ledger.report(heartbeat)
    pool = await ledger.pool()
    now = pool.now_ms
    assert 0 <= now - pool.agents["host"].heartbeat_ms < 60_000
    for found, told in (
        (pool.agents["host"], heartbeat.agent),
        (pool.workers["host-0"], heartbeat.workers[0]),
        (pool.gpus["gpu-0"], heartbeat.gpus[0]),
    ):
        assert replace(found, heartbeat_ms=0) == told


async def test_agents_do_not_touch_one_another(ledger: Ledger) -> None:
    await ledger.report(report("a"))
    await ledger.report(report("b"))
    await ledger.report(report("a"))
    pool = await ledger.pool()
    assert {one.id: one.state for one in pool.workers.values()} == {
        "a-0": WorkerState.READY,
        "b-0": WorkerState.READY,
    }
    assert set(pool.gpus) == {"a-gpu-0", "b-gpu-0"}


async def test_the_ledgers_own_fields_outlive_a_report(studio: Studio) -> None:
    job = await studio.run()
    lie = replace(worker("host-0", used_bytes=9), job="somebody", reserved_bytes=1)
    await studio.ledger.report(report(workers=[lie, worker("host-1")], gpus=[gpu()]))
    found = await studio.worker()
    assert (found.job, found.reserved_bytes) == (job.id, job.reserved_bytes)
    assert found.used_bytes == 9


async def test_a_worker_that_is_no_longer_named_is_down_and_holds_nothing(studio: Studio) -> None:
    await studio.ledger.report(
        report(workers=[worker("host-0", used_bytes=9), worker("host-1")], gpus=[gpu()])
    )
    (event,) = await events_of(studio.ledger, report(workers=[worker("host-1")], gpus=[gpu()]))
    assert (event.worker, event.gpu, event.reason) == ("host-0", "gpu-0", "worker_gone")
    gone = await studio.worker()
    assert (gone.state, gone.used_bytes) == (WorkerState.DOWN, 0)
    assert await events_of(studio.ledger, report(workers=[worker("host-1")], gpus=[gpu()])) == []


async def test_a_reservation_outlives_its_worker_until_the_attempt_is_closed(
    studio: Studio,
) -> None:
    job = await studio.run()
    for _ in range(3):
        await studio.ledger.report(report(workers=[worker("host-1")], gpus=[gpu()]))
    gone = await studio.worker()
    assert (gone.state, gone.job, gone.reserved_bytes) == (
        WorkerState.DOWN,
        job.id,
        job.reserved_bytes,
    )
    assert [held.id for held in await studio.ledger.held("host")] == [job.id]
    await studio.ledger.settle(job.id, 1, outcome())
    assert (await studio.worker()).reserved_bytes == 0


async def test_a_worker_comes_back_under_its_name(studio: Studio) -> None:
    await studio.ledger.report(report(workers=[worker("host-1")], gpus=[gpu()]))
    (event,) = await events_of(studio.ledger, two_workers())
    assert event.reason == "worker_ready"
    assert (await studio.worker()).state is WorkerState.READY
    await studio.reserve()


async def test_releasing_is_left_only_by_released_or_down(studio: Studio) -> None:
    await studio.ledger.release(studio.epoch, "host-0")
    await studio.ledger.report(two_workers())
    assert (await studio.worker()).state is WorkerState.RELEASING
    down = report(
        workers=[worker("host-0", state=WorkerState.DOWN), worker("host-1")], gpus=[gpu()]
    )
    await studio.ledger.report(down)
    assert (await studio.worker()).state is WorkerState.DOWN
    await studio.ledger.report(two_workers())
    assert (await studio.worker()).state is WorkerState.READY


async def test_only_the_ledger_says_that_a_worker_is_releasing(studio: Studio) -> None:
    lie = report(workers=[worker("host-0", state=WorkerState.RELEASING)], gpus=[gpu()])
    await studio.ledger.report(lie)
    assert (await studio.worker()).state is WorkerState.READY


async def test_a_worker_that_moves_takes_its_bytes_along(studio: Studio) -> None:
    gpus = [gpu(), gpu("gpu-1", index=1)]
    await studio.ledger.report(
        report(workers=[worker("host-0", used_bytes=9 * GIB), worker("host-1")], gpus=gpus)
    )
    await studio.ledger.report(
        report(workers=[worker("host-0", "gpu-1", used_bytes=9 * GIB), worker("host-1")], gpus=gpus)
    )
    queued = await studio.submit(new_job(need_bytes=20 * GIB))
    await studio.reserve(queued, "host-1")
    moved = await studio.worker()
    assert (moved.gpu, moved.used_bytes) == ("gpu-1", 9 * GIB)


async def test_a_reservation_stays_on_the_gpu_it_was_made_on(studio: Studio) -> None:
    job = await studio.run()
    moved = report(
        workers=[worker("host-0", "gpu-1"), worker("host-1")], gpus=[gpu(), gpu("gpu-1")]
    )
    for _ in range(2):
        await studio.ledger.report(moved)
        busy = await studio.worker()
        assert (busy.gpu, busy.reserved_bytes) == ("gpu-0", job.reserved_bytes)
    await studio.ledger.settle(job.id, 1, outcome())
    await studio.ledger.report(moved)
    idle = await studio.worker()
    assert (idle.gpu, idle.reserved_bytes) == ("gpu-1", 0)


async def test_a_gpu_that_is_no_longer_named_is_forgotten(studio: Studio) -> None:
    (event,) = await events_of(
        studio.ledger, report(workers=[worker("host-0"), worker("host-1")], gpus=[])
    )
    assert (event.gpu, event.reason) == ("gpu-0", "gpu_gone")
    assert (await studio.ledger.pool()).gpus == {}
    assert (await studio.ledger.snapshot(1)).gpus == ()


async def test_two_views_of_one_agent_do_not_confuse_each_other(
    studio: Studio, connect: Connect
) -> None:
    """An agent that restarts finds a fleet that the first one's client has seen otherwise."""
    other = connect()
    await other.report(report(workers=[worker("host-7")], gpus=[gpu("gpu-7")]))
    await studio.ledger.report(two_workers())
    await other.report(report(workers=[worker("host-7")], gpus=[gpu("gpu-7")]))
    pool = await other.pool()
    assert set(pool.gpus) == {"gpu-7"}
    assert {one.id for one in pool.workers.values() if one.state is WorkerState.READY} == {"host-7"}
    await other.close()


# ── what is news to a plan ───────────────────────────────────────────────────


async def test_the_first_report_is_news_and_its_repetition_is_not(ledger: Ledger) -> None:
    (event,) = await events_of(ledger, two_workers())
    assert event.reason == "worker_appeared"
    assert await events_of(ledger, two_workers()) == []


@pytest.mark.parametrize(
    ("heartbeat", "reason"),
    [
        (
            report(workers=[worker("host-0", models=("a",)), worker("host-1")], gpus=[gpu()]),
            "models",
        ),
        (two_workers(state=GpuState.SUSPECT), "gpu_suspect"),
        (
            report(
                workers=[worker("host-0", state=WorkerState.DOWN), worker("host-1")], gpus=[gpu()]
            ),
            "worker_down",
        ),
        (
            report(workers=[worker(f"host-{n}") for n in range(3)], gpus=[gpu()]),
            "worker_appeared",
        ),
        (
            report(workers=[worker("host-0"), worker("host-1")], gpus=[gpu(), gpu("gpu-1")]),
            "gpu_appeared",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_plan_cares_for_is_news_once(
    studio: Studio, heartbeat: Report, reason: str
) -> None:
    assert [event.reason for event in await events_of(studio.ledger, heartbeat)] == [reason]
    assert await events_of(studio.ledger, heartbeat) == []


async def test_that_a_jobs_models_are_loaded_is_news_once_and_of_no_other_job(
    studio: Studio,
) -> None:
    job = await studio.run()
    for said, news in (("", []), ("another", []), (job.id, ["loaded"]), (job.id, [])):
        both = [worker("host-0", loaded=said), worker("host-1")]
        events = await events_of(studio.ledger, report(workers=both, gpus=[gpu()]))
        assert [one.reason for one in events] == news
        assert (await studio.ledger.pool()).workers["host-0"].loaded == said


async def test_headroom_is_news_when_it_grew_by_more_than_64_mib(studio: Studio) -> None:
    def using(mib: int, foreign: int = 0) -> Report:
        return report(
            workers=[worker("host-0", used_bytes=mib * MIB), worker("host-1")],
            gpus=[gpu(foreign_bytes=foreign * MIB)],
        )

    assert await events_of(studio.ledger, using(1000)) == []
    assert await events_of(studio.ledger, using(936)) == []
    (event,) = await events_of(studio.ledger, using(900))
    assert (event.gpu, event.reason) == ("gpu-0", "headroom")
    assert await events_of(studio.ledger, using(860, foreign=0)) == []
    (event,) = await events_of(studio.ledger, using(835))
    assert event.reason == "headroom"
    assert await events_of(studio.ledger, using(835, foreign=500)) == []
    (event,) = await events_of(studio.ledger, using(835))
    assert event.reason == "headroom"


# ── orders that must not get lost ────────────────────────────────────────────


async def test_a_release_that_was_not_heard_is_told_again(
    studio: Studio, raw: Any, pool_name: str
) -> None:
    await studio.ledger.release(studio.epoch, "host-0")
    assert await studio.ledger.next_order("host", 1) == Order(OrderKind.RELEASE, "host-0")
    await studio.ledger.report(two_workers())
    assert await studio.ledger.next_order("host", 0.05) is None
    # Five seconds pass: the ledger's note of when it told is put back.
    raw.hincrby(f"vg:{{{pool_name}}}:worker:host-0", "told_ms", -6000)
    await studio.ledger.report(two_workers())
    assert await studio.ledger.next_order("host", 1) == Order(OrderKind.RELEASE, "host-0")


async def test_admission_counts_what_the_last_report_said(studio: Studio) -> None:
    first = await studio.submit(new_job(need_bytes=15 * GIB))
    await studio.ledger.report(
        report(workers=[worker("host-0"), worker("host-1", used_bytes=6 * GIB)], gpus=[gpu()])
    )
    stale = await studio.worker()
    reply = await studio.ledger.admit(
        studio.epoch, first, stale, grant(15 * GIB, 20 * GIB), LEASE_MS
    )
    assert reply == "NO_FIT"


async def test_vitals_and_details_come_back_as_told(ledger: Ledger) -> None:
    vitals = Vitals(
        utilisation=0.5,
        temperature_c=71,
        power_mw=312_500,
        clock_mhz=1830,
        throttled=("sw_power_cap", "hw_thermal"),
        ecc_uncorrected=2,
        by_process=False,
        trouble="2 memory errors",
    )
    agent = replace(report().agent, boot="b1", protocol=PROTOCOL)
    told = Report(agent=agent, workers=[worker(detail="draining")], gpus=[gpu(vitals=vitals)])
    await ledger.report(told)
    pool = await ledger.pool()
    assert pool.gpus["gpu-0"].vitals == vitals
    assert pool.workers["host-0"].detail == "draining"
    assert replace(pool.agents["host"], heartbeat_ms=0) == agent


async def test_a_gpu_that_two_agents_claim_is_suspect_for_both(studio: Studio) -> None:
    bare = replace(claim_of("other"), workers=[])
    (event,) = await events_of(studio.ledger, bare)
    assert (event.gpu, event.reason) == ("gpu-0", "gpu_claimed_twice")
    assert (await studio.ledger.report(claim_of("other"))).rivals == {"gpu-0": "host"}
    assert (await studio.ledger.report(two_workers())).rivals == {"gpu-0": "other"}
    found = (await studio.ledger.pool()).gpus["gpu-0"]
    assert (found.agent, found.rival, found.state) == ("host", "other", GpuState.SUSPECT)
    queued = await studio.submit()
    for name, host in (("host-0", "host"), ("other-0", "other")):
        told = replace(worker(name), agent=host)
        refused = await studio.ledger.admit(studio.epoch, queued, told, grant(), LEASE_MS)
        assert refused is Refusal.GPU_GONE


async def test_a_gpu_that_no_other_agent_reports_any_more_is_believed_again(
    studio: Studio,
) -> None:
    await studio.ledger.report(claim_of("other"))
    await studio.ledger.report(report(workers=[], gpus=[]))
    assert (await studio.ledger.report(claim_of("other"))).rivals == {}
    found = (await studio.ledger.pool()).gpus["gpu-0"]
    assert (found.agent, found.rival, found.state) == ("other", "", GpuState.READY)


async def test_an_agent_that_was_replaced_under_its_name_is_told_so(ledger: Ledger) -> None:
    older, younger = (
        Report(agent=replace(report().agent, boot=boot), workers=[worker(models=(boot,))])
        for boot in ("b1", "b2")
    )
    assert not (await ledger.report(older)).replaced
    assert not (await ledger.report(younger)).replaced
    assert (await ledger.report(older)).replaced
    assert not (await ledger.report(younger)).replaced
    assert (await ledger.pool()).workers["host-0"].models == ("b2",)


async def test_workers_of_an_agent_that_speaks_otherwise_take_nothing(studio: Studio) -> None:
    stranger = Report(
        agent=replace(report().agent, protocol=PROTOCOL + 1), workers=[worker()], gpus=[gpu()]
    )
    assert (await studio.ledger.report(stranger)).protocol == PROTOCOL
    assert (await studio.worker()).state is WorkerState.DOWN
    await studio.ledger.report(two_workers())
    assert (await studio.worker()).state is WorkerState.READY


async def test_before_anybody_has_led_all_agents_are_understood(ledger: Ledger) -> None:
    stranger = Report(agent=replace(report().agent, protocol=PROTOCOL + 1), workers=[worker()])
    assert (await ledger.report(stranger)).protocol == 0
    assert (await ledger.pool()).workers["host-0"].state is WorkerState.READY


def claim_of(agent: str) -> Report:
    """A heartbeat that claims the studio's GPU."""
    return report(agent, workers=[worker(f"{agent}-0")], gpus=[gpu(agent=agent)])
