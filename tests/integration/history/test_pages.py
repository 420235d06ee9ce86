"""What the pages about workflows, users and contention ask."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.account import account
from store import history_schema as history
from store import schema
from store.contention import Blocked, SqlContention
from store.folding import add_up_nodes
from store.records import By
from store.users import SqlUsers
from store.workflows import SqlWorkflows
from tests.integration.history.rows import HOUR_MS, attempt_row, fill, job_row, node_row, sample_row

#: a Monday, 00:00 UTC
MONDAY_MS = 1_699_833_600_000
NOW_MS = MONDAY_MS + 7 * 24 * HOUR_MS


@pytest.fixture
async def full(engine: AsyncEngine) -> AsyncEngine:
    """Ann's two workflows and bob's one, in different hours."""
    runs: list[tuple[str, str, int, dict[str, Any]]] = [
        ("a1", "ann", 2, {"fingerprint": "fp-1", "model": "sdxl"}),
        ("a2", "ann", 30, {"fingerprint": "fp-1", "model": "sdxl", "state": "FAILED"}),
        ("a3", "ann", 31, {"fingerprint": "fp-2", "model": "flux", "ooms": 1}),
        ("b1", "bob", 31, {"fingerprint": "fp-1", "model": "sdxl", "gpu": "gpu-1"}),
        ("b2", "bob", 50, {"fingerprint": "fp-1", "peak_bytes": 4 * 2**30, "gpu": "gpu-1"}),
    ]
    for job, user, hours, changes in runs:
        ended = MONDAY_MS + hours * HOUR_MS
        row = job_row(job, ended, user_name=user, **changes)
        await fill(engine, schema.jobs, [row])
        stay = attempt_row(job, ended, user_name=user, gpu=row["gpu"], worker=f"w-{job}")
        await fill(engine, schema.attempts, [stay])
        await fill(engine, history.node_runs, [node_row(job, ended - 5000, seconds=4.0)])
    await fill(engine, history.marks, [{"name": "recorded", "at_ms": NOW_MS}])
    await account(engine, NOW_MS)
    await add_up_nodes(engine, NOW_MS)
    return engine


async def test_workflows_are_listed_by_their_gpu_time(full: AsyncEngine) -> None:
    first, second = await SqlWorkflows(full).all(MONDAY_MS, NOW_MS)
    assert (first.fingerprint, first.jobs, first.failed, first.users) == ("fp-1", 4, 1, 2)
    assert (first.gpu_seconds, first.wait_seconds) == (10.0, 1.0)
    assert (second.fingerprint, second.model) == ("fp-2", "flux")
    (bobs,) = await SqlWorkflows(full).all(MONDAY_MS, NOW_MS, user="bob")
    assert (bobs.fingerprint, bobs.jobs) == ("fp-1", 2)


async def test_a_workflows_trend_is_by_local_days(full: AsyncEngine) -> None:
    work = SqlWorkflows(full)
    days = await work.days("fp-1", MONDAY_MS, NOW_MS)
    assert [(day.at_ms - MONDAY_MS) // HOUR_MS for day in days] == [0, 24, 48]
    assert [day.jobs for day in days] == [1, 2, 1]
    tokyo = await work.days("fp-1", MONDAY_MS, NOW_MS, zone_ms=9 * HOUR_MS)
    assert [(day.at_ms - MONDAY_MS) // HOUR_MS for day in tokyo] == [-9, 15, 39]


async def test_classes_of_nodes_are_those_of_a_workflow_or_of_all(full: AsyncEngine) -> None:
    (sampler,) = await SqlWorkflows(full).nodes(MONDAY_MS, NOW_MS)
    assert (sampler.class_type, sampler.runs, sampler.seconds) == ("KSampler", 5, 4.0)
    (own,) = await SqlWorkflows(full).nodes(MONDAY_MS, NOW_MS, fingerprint="fp-2")
    assert own.runs == 1


async def test_usage_is_summed_up_by_anything(full: AsyncEngine) -> None:
    users = SqlUsers(full)
    ann, bob = await users.sums(MONDAY_MS, NOW_MS)
    assert (ann.name, ann.jobs, ann.failed, ann.gpu_us) == ("ann", 3, 1, 30_000_000)
    assert (ann.cost_us, ann.byte_ms, ann.wait_ms) == (15_000_000, 3 * 4 * 2**30 * 10_000, 3000)
    assert bob.name == "bob"
    by_model = await users.sums(MONDAY_MS, NOW_MS, By.MODEL, user="ann")
    assert [(row.name, row.jobs) for row in by_model] == [("sdxl", 2), ("flux", 1)]
    days = await users.sums(MONDAY_MS, NOW_MS, each_ms=24 * HOUR_MS)
    told = [(row.name, ((row.at_ms or 0) - MONDAY_MS) // HOUR_MS, row.jobs) for row in days]
    assert told == [("ann", 0, 1), ("ann", 24, 2), ("bob", 24, 1), ("bob", 48, 1)]


async def test_sums_beyond_a_databases_integers_are_exact(engine: AsyncEngine) -> None:
    key = {"gpu": "g", "group_name": "", "fingerprint": "", "model": "", "user_name": "ann"}
    zeros = dict.fromkeys(("gpu_us", "cost_us", "energy_mj", "jobs", "failed", "wait_ms"), 0)
    rows = [{"hour_ms": n * HOUR_MS, **key, **zeros, "byte_ms": 2**63 - 1 - n} for n in range(50)]
    await fill(engine, history.usage, rows)
    (ann,) = await SqlUsers(engine).sums(0, 100 * HOUR_MS)
    assert ann.byte_ms == sum(2**63 - 1 - n for n in range(50))


async def test_blocked_time_says_by_what(engine: AsyncEngine) -> None:
    base = {"step_s": 3600, "at_ms": MONDAY_MS, "user_name": "ann", "reason": "no_headroom"}
    rows = [
        {**base, "blocker": "gpu:g", "job_ms": 5},
        {**base, "blocker": "user:bob", "job_ms": 7},
        {**base, "blocker": "gpu:g", "job_ms": 4, "user_name": "cat"},
        {**base, "blocker": "gpu:g", "job_ms": 99, "step_s": 10},
    ]
    await fill(engine, history.waits, rows)
    await fill(engine, history.marks, [{"name": "waits:3600", "at_ms": MONDAY_MS + HOUR_MS}])
    contention = SqlContention(engine)
    assert await contention.blocked(MONDAY_MS, NOW_MS) == [
        Blocked("", "no_headroom", "gpu:g", 9), Blocked("", "no_headroom", "user:bob", 7),
    ]  # fmt: skip
    (cats,) = await contention.blocked(MONDAY_MS, NOW_MS, user="cat", by_user=True)
    assert cats == Blocked("cat", "no_headroom", "gpu:g", 4)


async def test_blocked_time_of_the_hour_that_is_not_summed_up_yet_is_there(
    engine: AsyncEngine,
) -> None:
    base = {"user_name": "ann", "reason": "cap", "blocker": ""}
    rows = [
        {**base, "step_s": 3600, "at_ms": MONDAY_MS, "job_ms": 5},
        # of the same hour, and of the next one
        {**base, "step_s": 10, "at_ms": MONDAY_MS + 10_000, "job_ms": 5},
        {**base, "step_s": 10, "at_ms": MONDAY_MS + HOUR_MS, "job_ms": 7},
    ]
    await fill(engine, history.waits, rows)
    mark = {"name": "waits:3600", "at_ms": MONDAY_MS + HOUR_MS}
    await fill(engine, history.marks, [mark])
    (found,) = await SqlContention(engine).blocked(MONDAY_MS, NOW_MS)
    assert found.job_ms == 12


async def test_blocked_time_is_there_before_any_hour_is_summed_up(engine: AsyncEngine) -> None:
    row = {"user_name": "ann", "reason": "cap", "blocker": "", "step_s": 10, "job_ms": 10_000}
    await fill(engine, history.waits, [{**row, "at_ms": MONDAY_MS + n * 10_000} for n in range(3)])
    (found,) = await SqlContention(engine).blocked(MONDAY_MS, MONDAY_MS + HOUR_MS)
    assert found.job_ms == 30_000


async def test_the_least_free_memory_of_each_gpu_has_its_moment(engine: AsyncEngine) -> None:
    rows = [
        sample_row(MONDAY_MS + n * 60_000, step_s=60, gpu=gpu, least_free_bytes=free)
        for gpu, frees in (("g0", (9, 3, 3)), ("g1", (7, 8, 9)))
        for n, free in enumerate(frees)
    ]
    await fill(engine, history.gpu_samples, rows)
    found = await SqlContention(engine).least_free(MONDAY_MS, MONDAY_MS + HOUR_MS)
    assert [(one.gpu, one.free_bytes, one.at_ms - MONDAY_MS) for one in found] == [
        ("g0", 3, 60_000),
        ("g1", 7, 0),
    ]


async def test_the_week_is_by_local_hours_and_has_no_zeros_for_what_is_not_known(
    engine: AsyncEngine,
) -> None:
    def line(hours: int, queued: float) -> dict[str, Any]:
        return {
            "step_s": 3600, "at_ms": MONDAY_MS + hours * HOUR_MS, "queued": queued,
            "running": 2.0, "waiting_users": 1.0, "most_queued": int(queued) + 3,
            "most_running": 2, "longest_wait_ms": 9, "readings": 3600,
        }  # fmt: skip

    await fill(engine, history.pool_samples, [line(0, 4.0), line(168, 6.0), line(5, 1.0)])
    cards = [
        sample_row(MONDAY_MS, step_s=3600, gpu=gpu, utilisation=told)
        for gpu, told in (("g0", 0.5), ("g1", None))
    ]
    await fill(engine, history.gpu_samples, cards)
    contention = SqlContention(engine)
    midnight, five = await contention.week(MONDAY_MS, NOW_MS + HOUR_MS)
    assert (midnight.weekday, midnight.hour, midnight.queued) == (0, 0, 5.0)
    assert midnight.held == pytest.approx(7 / 24)
    assert midnight.utilisation == 0.5
    assert (five.hour, five.held) == (5, None)
    tokyo, _ = await contention.week(MONDAY_MS, NOW_MS + HOUR_MS, "Asia/Tokyo")
    assert (tokyo.weekday, tokyo.hour) == (0, 9)
    peaks = await contention.peaks(MONDAY_MS, NOW_MS + HOUR_MS, most=1)
    assert [peak.most_queued for peak in peaks] == [9]


async def test_near_misses_ran_out_of_memory_or_nearly(full: AsyncEngine) -> None:
    found = await SqlContention(full).near_misses(MONDAY_MS, NOW_MS)
    assert [(miss.job, miss.ooms) for miss in found] == [("b2", 0), ("a3", 1)]
    (anns,) = await SqlContention(full).near_misses(MONDAY_MS, NOW_MS, user="ann")
    assert anns.job == "a3"
