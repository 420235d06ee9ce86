"""Questions of what would have been, and what is read to answer them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from store import history_schema as history
from store import schema
from store.forgetting import forget_user
from store.past import Away, Foreign, PlayedGpu, SqlPast
from store.what_ifs import MOST, Progress, SqlWhatIfs, WhatIf
from tests.integration.history.rows import HOUR_MS, attempt_row, fill, job_row, sample_row

START_MS = 1_700_000_000_000 - 1_700_000_000_000 % HOUR_MS


def question(number: int) -> WhatIf:
    return WhatIf(
        id=f"q{number}", asked_ms=START_MS + number, by_user="ada", from_ms=START_MS,
        until_ms=START_MS + HOUR_MS, change={"users": {}}, rules={"users": []},
    )  # fmt: skip


async def test_a_question_is_asked_begun_and_answered(engine: AsyncEngine) -> None:
    kept = SqlWhatIfs(engine)
    await kept.ask(question(1))
    await kept.ask(question(2))
    assert [one.id for one in await kept.newest()] == ["q2", "q1"]
    await kept.start("q1", 5)
    await kept.done("q1", 9, {"jobs": 3})
    await kept.failed("q2", 8, "nothing ran")
    one = await kept.one("q1")
    assert one is not None
    assert (one.state, one.started_ms, one.ended_ms, one.result) == (
        Progress.DONE, 5, 9, {"jobs": 3},
    )  # fmt: skip
    two = await kept.one("q2")
    assert two is not None
    assert (two.state, two.problem) == (Progress.FAILED, "nothing ran")
    assert await kept.one("q3") is None


async def test_only_the_newest_are_kept(engine: AsyncEngine) -> None:
    kept = SqlWhatIfs(engine)
    for number in range(MOST + 3):
        await kept.ask(question(number))
    found = await kept.newest()
    assert (len(found), found[-1].id) == (MOST, "q3")


async def test_a_forgotten_user_is_in_no_answer(engine: AsyncEngine) -> None:
    kept = SqlWhatIfs(engine)
    await kept.ask(question(1))
    await kept.done("q1", 9, {"recorded": {"users": {"ann": {}}}})
    await forget_user(engine, "ann")
    assert await kept.newest() == []


async def test_a_host_is_away_where_only_its_samples_are_missing(engine: AsyncEngine) -> None:
    minutes = [n for n in range(20) if n not in (5, 6, 7, 12, 13, 14)]
    samples = [sample_row(START_MS + n * 60_000, step_s=60) for n in minutes]
    await fill(engine, history.gpu_samples, samples)
    line = {"queued": 1.0, "running": 1.0, "waiting_users": 1.0, "readings": 60}
    counts = dict.fromkeys(("most_queued", "most_running", "longest_wait_ms"), 1)
    # in the second gap the recorder was away, too
    pool = [
        {"step_s": 60, "at_ms": START_MS + n * 60_000, **line, **counts}
        for n in range(20)
        if n not in (12, 13, 14)
    ]
    await fill(engine, history.pool_samples, pool)
    assert await SqlPast(engine).away(START_MS, START_MS + HOUR_MS) == [
        Away("gpu-0", START_MS + 300_000, START_MS + 480_000)
    ]


async def test_a_recorded_time_is_read_with_what_loading_took_left_out(
    engine: AsyncEngine,
) -> None:
    ended = START_MS + 60_000
    other = {"needs_gpu": False, "submitted_ms": START_MS + 50_000}
    rows = [job_row("j", ended), job_row("n", ended, **other)]
    await fill(engine, schema.jobs, rows)
    attempts = [attempt_row("j", ended), attempt_row("k", ended, worker="host-1")]
    await fill(engine, schema.attempts, attempts)
    run = {
        "job_id": "j", "attempt": 1, "user_name": "ann", "worker": "host-0", "gpu": "gpu-0",
        "started_ms": ended - 10_000, "seconds": 10.0, "result": "success", "nodes": 1,
        "cached": 0, "loads": 1, "load_seconds": 4.0, "overlap": False,
    }  # fmt: skip
    await fill(engine, history.prompt_runs, [run])
    samples = [
        sample_row(START_MS, step_s=60, foreign_bytes=0, holders='[["host-2","",5]]'),
        *(sample_row(START_MS + n * 60_000, step_s=60, foreign_bytes=n // 2) for n in range(1, 4)),
    ]
    await fill(engine, history.gpu_samples, samples)
    past, span = SqlPast(engine), (START_MS, START_MS + HOUR_MS)
    (job,) = await past.jobs(*span, most=10)
    assert (job.id, job.run_seconds, job.wait_ms) == ("j", 6.0, 1000)
    assert await past.gpus(*span) == [PlayedGpu(id="gpu-0", total_bytes=24 * 2**30, workers=3)]
    assert await past.foreign(*span) == [Foreign("gpu-0", START_MS + 120_000, 1)]
