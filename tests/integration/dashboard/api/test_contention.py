"""Who is in whose way, over the simulated day."""

from __future__ import annotations

import pytest

from dashboard.api.contention import Contentions
from dashboard.insight.names import Names
from simulator.day.studio import settings
from store.contention import SqlContention
from store.job_list import SqlJobs
from tests.day import FROM_MS, UNTIL_MS, DayStore
from tests.day import day as day
from tests.day import day_file as day_file
from tests.integration.dashboard.api.conftest import Ask, Serve, who
from tests.integration.dashboard.api.conftest import serve as serve

SPAN = f"from={FROM_MS}&until={UNTIL_MS}"


@pytest.fixture
async def ask(day: DayStore, serve: Serve) -> Ask:
    names = Names(SqlJobs(day.engine))
    resource = Contentions(SqlContention(day.engine), names, settings, who, lambda: UNTIL_MS / 1000)
    return await serve(resource.routes())


async def test_blocked_time_is_all_that_was_counted(ask: Ask, day: DayStore) -> None:
    told = await ask(f"/api/v1/contention?{SPAN}", "olga", "admin")
    counted = sum(row["job_ms"] for row in day.played.waits)
    assert sum(row["job_ms"] for row in told["blocked"]) == told["blocked_ms"] == counted > 0
    assert told["blocked"] == sorted(told["blocked"], key=lambda row: -row["job_ms"])
    kinds = {row["blocker_kind"] for row in told["blocked"]}
    assert "gpu" in kinds


async def test_an_artist_sees_own_waits_and_nobodys_name(ask: Ask) -> None:
    everything = await ask(f"/api/v1/contention?{SPAN}", "olga", "admin")
    told = await ask(f"/api/v1/contention?{SPAN}", "anna")
    assert {row["user"] for row in told["blocked"]} == {"anna"}
    names = {row["blocker"] for row in told["blocked"] if row["blocker_kind"] == "user"}
    assert names <= {"anna", "others"}
    own = sum(row["job_ms"] for row in everything["blocked"] if row["user"] == "anna")
    assert sum(row["job_ms"] for row in told["blocked"]) == own
    assert told["blocked_ms"] == everything["blocked_ms"]
    assert {row["user"] for row in told["near_misses"]} == {"anna"}
    assert len(everything["near_misses"]) > len(told["near_misses"])


async def test_peaks_least_memory_and_near_misses_are_those_of_the_day(
    ask: Ask, day: DayStore
) -> None:
    told = await ask(f"/api/v1/contention?{SPAN}", "olga", "admin")
    most = max(row["most_queued"] for row in day.played.pool_samples)
    assert told["peaks"][0]["most_queued"] == most > 3
    least = {row["gpu"]: row["free_bytes"] for row in told["least_free"]}
    assert set(least) == {"GPU-a0", "GPU-a1", "GPU-b0", "GPU-c0"}
    for gpu, free in least.items():
        assert free == min(
            row["least_free_bytes"] for row in day.played.gpu_samples if row["gpu"] == gpu
        )
    (oom,) = [row for row in told["near_misses"] if row["ooms"]]
    assert oom["user"] in ("anna", "cleo")
    assert "flux1-dev-fp8" in oom["title"]


async def test_the_week_has_the_hours_that_are_known(ask: Ask) -> None:
    told = await ask("/api/v1/contention/week", "anna")
    cells = {(cell["weekday"], cell["hour"]): cell for cell in told["hours"]}
    # the last hour is not over yet
    assert set(cells) == {(1, hour) for hour in range(20, 24)} | {(2, h) for h in range(19)}
    assert cells[2, 17]["running"] > cells[2, 12]["running"]
    assert 0 < cells[2, 17]["held"] < 1
