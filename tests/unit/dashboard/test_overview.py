"""Who may see what on the live page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.settings import Role
from dashboard.overview import MAX_ROWS, overview
from dashboard.sample import EndedCounts, Sample, condense
from scheduler.states import JobState, WaitReason
from tests.pools import GIB, gpu, job, snapshot, worker


def _running(name: str, user: str, on: str, **changes: Any) -> Any:
    return job(
        name,
        user,
        state=JobState.RUNNING,
        worker=on,
        gpu="gpu0",
        admitted_ms=990_000,
        started_ms=996_000,
        **changes,
    )


def _sample(**changes: Any) -> Sample:
    active = [_running("secret-run", "bob", "w0"), _running("mine-run", "ann", "w1")]
    queued = [
        job("mine", "ann", wait_reason=WaitReason.CAP, wait_detail="2 of 2 running"),
        job("secret-wait", "bob", submitted_ms=940_000, wait_detail="secret words"),
        job("secret-too", "cho"),
    ]
    workers = [
        worker("w0", used=4, reserved=6, job="secret-run", models=("secret.safetensors",)),
        worker("w1", used=3, reserved=2, job="mine-run"),
        worker("w2", used=5),
    ]
    seen = snapshot(
        [gpu(total=24, foreign=1)], workers, queued, active=active, running={"ann": 1, "bob": 1}
    )
    ended = {"ann": EndedCounts(succeeded=1), "bob": EndedCounts(succeeded=4, failed=2)}
    return condense(seen, ended, 10.0)


def test_an_artist_sees_own_jobs_and_others_as_one_count() -> None:
    seen = overview(_sample(), "ann", Role.ARTIST)
    text = json.dumps(seen)
    for secret in ("bob", "cho", "secret"):
        assert secret not in text
    assert seen["queue"] == [
        {"user": "ann", "queued": 1, "running": 1},
        {"user": "others", "queued": 2, "running": 1},
    ]
    assert [row["prompt_id"] for row in seen["running"]] == ["mine-run"]
    assert [row["prompt_id"] for row in seen["waiting"]] == ["mine"]
    assert [row["user"] for row in seen["workers"]] == ["others", "ann", ""]
    assert seen["totals"] == {"queued": 3, "running": 2, "workers": 3, "busy": 2}
    assert seen["ended"]["own"] == {"succeeded": 1, "failed": 0, "cancelled": 0}
    assert seen["ended"]["all"] == {"succeeded": 5, "failed": 2, "cancelled": 0}


def test_a_viewer_sees_no_more_than_an_artist() -> None:
    assert "bob" not in json.dumps(overview(_sample(), "ann", Role.VIEWER))


def test_an_admin_sees_everybody_by_name() -> None:
    seen = overview(_sample(), "root", Role.ADMIN)
    assert [row["user"] for row in seen["queue"]] == ["ann", "bob", "cho"]
    assert [row["prompt_id"] for row in seen["waiting"]] == ["secret-wait", "mine", "secret-too"]
    assert seen["workers"][0]["models"] == ["secret.safetensors"]


def test_a_row_says_why_and_how_long() -> None:
    (row,) = overview(_sample(), "ann", Role.ARTIST)["waiting"]
    assert (row["wait_reason"], row["wait_detail"]) == ("cap", "2 of 2 running")
    (row,) = overview(_sample(), "ann", Role.ARTIST)["running"]
    assert (row["worker"], row["gpu"], row["seconds"]) == ("w1", "gpu0", 4.0)


def test_a_gpu_is_cut_into_who_holds_its_bytes() -> None:
    (card,) = overview(_sample(), "ann", Role.ARTIST)["gpus"]
    parts = ("total", "foreign", "resident", "reserved", "free")
    assert [card[f"{part}_bytes"] / GIB for part in parts] == [24, 1, 5, 9, 9]
    assert card["silent"] is False


def test_promises_beyond_a_gpu_leave_nothing_free() -> None:
    seen = snapshot([gpu(total=8)], [worker(reserved=20, job="j")], [])
    (card,) = overview(condense(seen, {}, 10.0), "ann", Role.ADMIN)["gpus"]
    assert card["free_bytes"] == 0


def test_figures_of_a_silent_agent_are_marked() -> None:
    seen = snapshot([gpu(heartbeat_ms=989_999)], [worker(heartbeat_ms=989_999)], [])
    shown = overview(condense(seen, {}, 10.0), "ann", Role.ADMIN)
    assert shown["gpus"][0]["silent"] is True
    assert shown["workers"][0]["silent"] is True


def test_long_queues_are_cut_and_counted() -> None:
    queued = [job(f"j{n:03}", "ann", number=n) for n in range(MAX_ROWS + 7)]
    shown = overview(condense(snapshot([], [], queued), {}, 10.0), "ann", Role.ARTIST)
    assert len(shown["waiting"]) == MAX_ROWS
    assert shown["waiting_more"] == 7
    assert shown["waiting"][0]["prompt_id"] == "j000"


def test_a_heartbeat_alone_changes_no_page() -> None:
    early = snapshot([gpu()], [worker()], [], now_ms=1_000_000)
    late = snapshot(
        [gpu(heartbeat_ms=1_004_000)], [worker(heartbeat_ms=1_004_000)], [], now_ms=1_005_000
    )
    assert condense(early, {}, 10.0) == condense(late, {}, 10.0)
    busier = snapshot([gpu()], [worker(used=1)], [])
    assert condense(early, {}, 10.0) != condense(busier, {}, 10.0)


def _waiting(user: str, role: Role, **changes: Any) -> dict[str, Any]:
    queued = [job("mine", "ann", **changes), job("mine-too", "ann"), job("secret", "bob")]
    seen = snapshot(
        [gpu()],
        [worker("w0", job="secret-run")],
        queued,
        active=[_running("secret-run", "bob", "w0")],
    )
    rows = overview(condense(seen, {}, 10.0), user, role)["waiting"]
    row: dict[str, Any] = next(row for row in rows if row["prompt_id"] == "mine")
    return row


def test_a_waiting_job_says_when_it_should_start() -> None:
    row = _waiting("ann", Role.ARTIST, start_p50_ms=1_012_500, start_p90_ms=1_060_000)
    assert (row["start_p50_seconds"], row["start_p90_seconds"]) == (12.5, 60.0)
    row = _waiting("ann", Role.ARTIST, start_p50_ms=999_000, start_p90_ms=999_000)
    assert (row["start_p50_seconds"], row["start_p90_seconds"]) == (0.0, 0.0)
    row = _waiting("ann", Role.ARTIST)
    assert (row["start_p50_seconds"], row["start_p90_seconds"]) == (None, None)


@pytest.mark.parametrize("blocker", ["gpu0", "w0", "mine-too", ""])
def test_what_is_in_its_way_is_shown_where_everybody_may_see_it(blocker: str) -> None:
    assert _waiting("ann", Role.ARTIST, wait_blocker=blocker)["blocker"] == blocker


@pytest.mark.parametrize("blocker", ["secret", "secret-run"])
def test_anothers_job_in_its_way_is_an_admins_to_see(blocker: str) -> None:
    assert _waiting("ann", Role.ARTIST, wait_blocker=blocker)["blocker"] == ""
    assert _waiting("ann", Role.VIEWER, wait_blocker=blocker)["blocker"] == ""
    assert _waiting("root", Role.ADMIN, wait_blocker=blocker)["blocker"] == blocker
