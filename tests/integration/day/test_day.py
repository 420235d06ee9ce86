"""The simulated day has what pages are tested with, and its figures agree with one another."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from sqlalchemy import Table, func, select

from scheduler.states import JobState
from simulator.day.write import play_days
from store import history_schema as history
from store import schema
from store.contention import SqlContention
from store.folding import STEPS
from store.timeline import SqlTimelines
from store.users import SqlUsers
from tests.day import FROM_MS, SEED, UNTIL_MS, DayStore
from tests.day import day as day
from tests.day import day_everywhere as day_everywhere
from tests.day import day_file as day_file
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url


async def rows(store: DayStore, table: Table) -> list[dict[str, Any]]:
    async with store.engine.connect() as connection:
        found = (await connection.execute(table.select())).mappings().all()
    return [dict(row) for row in found]


def test_the_same_seed_and_end_give_the_same_day() -> None:
    one, two = (play_days(SEED, UNTIL_MS, jobs=60) for _ in range(2))
    assert one.events == two.events
    assert one.gpu_samples == two.gpu_samples
    assert play_days(SEED + 1, UNTIL_MS, jobs=60).events != one.events


async def test_usage_equals_what_the_attempts_say(day: DayStore) -> None:
    attempts = await rows(day, schema.attempts)
    sums = await SqlUsers(day.engine).sums(FROM_MS, UNTIL_MS)
    assert sum(one.cost_us for one in sums) == sum(row["cost_us"] or 0 for row in attempts)
    held = sum(
        row["reserved_bytes"] * ((row["ended_ms"] or UNTIL_MS) - row["admitted_ms"])
        for row in attempts
    )
    assert sum(one.byte_ms for one in sums) == held
    jobs = await rows(day, schema.jobs)
    assert sum(one.jobs for one in sums) == len(jobs) > 400
    assert sum(one.failed for one in sums) == sum(row["state"] == "FAILED" for row in jobs) > 5
    assert all(one.energy_mj > 0 for one in sums)


async def test_node_runs_lie_within_their_attempts(day: DayStore) -> None:
    tries = {(row["job_id"], row["attempt"]): row for row in await rows(day, schema.attempts)}
    nodes = await rows(day, history.node_runs)
    for row in nodes:
        attempt = tries[row["job_id"], row["attempt"]]
        end = row["started_ms"] + row["seconds"] * 1000
        assert attempt["claimed_ms"] <= row["started_ms"]
        assert attempt["ended_ms"] is None or end <= attempt["ended_ms"] + 2
    assert len(nodes) > 3000


async def test_no_two_attempts_are_on_one_worker_at_once(day: DayStore) -> None:
    attempts = sorted(await rows(day, schema.attempts), key=lambda row: row["admitted_ms"])
    for worker in {row["worker"] for row in attempts}:
        own = [row for row in attempts if row["worker"] == worker]
        for one, after in pairwise(own):
            assert one["ended_ms"] <= after["admitted_ms"]


async def test_what_ran_out_of_memory_went_well_the_second_time(day: DayStore) -> None:
    (job,) = [row for row in await rows(day, schema.jobs) if row["ooms"]]
    assert (job["state"], job["attempts"]) == (JobState.SUCCEEDED.value, 2)
    timeline = await SqlTimelines(day.engine).read(job["id"], 1)
    assert timeline is not None
    assert timeline.nodes[-1].error == "OutOfMemoryError"
    again = await SqlTimelines(day.engine).read(job["id"])
    assert again is not None
    assert again.attempt == 2
    assert again.curve
    assert again.compared > 0


async def test_decoding_falls_back_to_tiles_under_memory_pressure(day: DayStore) -> None:
    decodes = [
        row
        for row in await rows(day, history.node_runs)
        if row["class_type"] == "VAEDecode" and "3840, 3840" in (row["shapes"] or "")
    ]
    tiled = [row["seconds"] for row in decodes if row["fallback"] == "tiled"]
    whole = [row["seconds"] for row in decodes if row["fallback"] is None]
    assert len(tiled) >= 3
    assert len(whole) >= 3
    assert min(tiled) > 9 > 4.5 > max(whole)


async def test_the_day_has_what_pages_show(day: DayStore) -> None:
    jobs = await rows(day, schema.jobs)
    assert len({row["user_name"] for row in jobs}) == 6
    assert len({row["group_name"] for row in jobs}) == 2
    assert len({row["fingerprint"] for row in jobs}) == 8
    assert {row["lane"] for row in jobs} == {"interactive", "batch"}
    prompts = await rows(day, history.prompt_runs)
    assert any(row["cached"] == row["nodes"] for row in prompts)
    moves = Counter(row["what"] for row in await rows(day, history.model_moves))
    assert moves["load"] > 50
    assert moves["unload"] > 20
    contention = SqlContention(day.engine)
    assert len(await contention.near_misses(FROM_MS, UNTIL_MS)) >= 3
    blocked = await contention.blocked(FROM_MS, UNTIL_MS, by_user=True)
    assert {"no_headroom", "fairness", "cap"} <= {one.reason for one in blocked}
    assert any(one.blocker.startswith("gpu:") for one in blocked)
    hours = Counter((row["submitted_ms"] // 3_600_000) % 24 for row in jobs)
    assert hours[18] + hours[17] > 3 * (hours[12] + hours[13])
    assert await rows(day, history.gaps)


async def test_samples_have_a_gap_where_the_host_was_away_and_one_card_idles(
    day: DayStore,
) -> None:
    samples = await rows(day, history.gpu_samples)
    by_step = {step: [row for row in samples if row["step_s"] == step] for step in STEPS}
    assert all(by_step.values())
    minutes = Counter(row["gpu"] for row in by_step[60])
    assert minutes["GPU-a0"] == minutes["GPU-b0"] - 9
    assert max(row["utilisation"] for row in samples if row["gpu"] == "GPU-c0") == 0
    assert any(row["foreign_bytes"] for row in samples if row["gpu"] == "GPU-a1")
    assert all(row["free_bytes"] + row["foreign_bytes"] <= row["total_bytes"] for row in by_step[1])


async def test_the_day_is_written_into_each_database(day_everywhere: DayStore) -> None:
    async with day_everywhere.engine.connect() as connection:
        count = await connection.scalar(select(func.count()).select_from(schema.jobs))
    assert count == len(day_everywhere.played.jobs) > 100
