"""A recorded time once more: what a change makes of the waits, on pools small enough to foresee."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Settings, User
from dashboard.api.what_ifs import rules_of
from scheduler.states import Lane
from simulator.world.what_if import CannotChange, Recorded, answer, figures_of
from store.change import Change, read_change
from store.past import Away, Foreign, PlayedGpu, PlayedJob

GIB = 2**30
START_MS = 1_700_000_000_000


def job(number: int, user: str = "ann", *, gib: float = 10, after_s: float = 0.0) -> PlayedJob:
    """Ten seconds of SDXL that waited for a second."""
    return PlayedJob(
        id=f"job-{number}", submitted_ms=START_MS + int(after_s * 1000), user=user, group="film",
        lane=Lane.INTERACTIVE, fingerprint="fp", model="checkpoints/sdxl.safetensors",
        model_bytes=6 * GIB, need_bytes=int(gib * GIB), need_seconds=10.0, run_seconds=10.0,
        load_seconds=0.0, wait_ms=1000,
    )  # fmt: skip


def gpu(name: str = "g0", gib: int = 24, workers: int = 1) -> PlayedGpu:
    return PlayedGpu(id=name, total_bytes=gib * GIB, workers=workers)


def play(
    jobs: list[PlayedJob],
    change: dict[str, Any],
    *,
    gpus: tuple[PlayedGpu, ...] = (gpu(),),
    foreign: tuple[Foreign, ...] = (),
    settings: Settings | None = None,
) -> dict[str, Any]:
    recorded = Recorded(jobs, gpus, foreign)
    return answer(recorded, rules_of(settings or Settings()), read_change(change))


def waits(found: dict[str, Any], side: str, user: str = "") -> float:
    part = found[side]["users"][user] if user else found[side]["all"]
    return float(part["mean_s"])


def test_what_was_recorded_stands_beside_what_is_played() -> None:
    found = play([job(0), job(1), job(2)], {"workers_per_gpu": 1})
    assert found["recorded"]["all"] == {
        "jobs": 3, "mean_s": 1.0, "p50_s": 1.0, "p95_s": 1.0, "longest_s": 1.0,
    }  # fmt: skip
    # one after the other: 0, 10 and 20 s
    assert waits(found, "again") == pytest.approx(10.0, abs=0.1)
    assert found["again"] == found["changed"]


def test_one_more_gpu_takes_half_of_the_jobs() -> None:
    found = play([job(n) for n in range(4)], {"more_gpus": [{"like": "g0"}]})
    assert waits(found, "again") == pytest.approx(15.0, abs=0.1)
    assert waits(found, "changed") == pytest.approx(5.0, abs=0.1)


def test_more_memory_lets_two_jobs_run_side_by_side() -> None:
    found = play([job(0), job(1)], {"vram": {"g0": 48 * GIB}}, gpus=(gpu(gib=16, workers=2),))
    assert waits(found, "again") > 4
    assert waits(found, "changed") < 1


def test_a_cap_makes_its_user_wait_and_nobody_else() -> None:
    jobs = [job(0), job(1), job(2, "bob")]
    found = play(jobs, {"users": {"ann": {"max_running": 1}}}, gpus=(gpu(gib=80, workers=3),))
    assert waits(found, "again") < 2
    assert found["changed"]["users"]["ann"]["longest_s"] > 9
    assert waits(found, "changed", "bob") == waits(found, "again", "bob")


def test_a_cap_that_was_in_force_is_played_and_can_be_taken_away() -> None:
    capped = Settings(users=(User(name="ann", group="film", max_running=1),))
    found = play(
        [job(0), job(1)],
        {"users": {"ann": {"max_running": None}}},
        gpus=(gpu(gib=80, workers=2),),
        settings=capped,
    )
    assert found["again"]["all"]["longest_s"] > 9
    assert found["changed"]["all"]["longest_s"] < 2


def test_other_programs_memory_is_in_the_way_while_it_lasts() -> None:
    foreign = (Foreign("g0", START_MS, 15 * GIB), Foreign("g0", START_MS + 30_000, 0))
    found = play([job(0, after_s=1)], {"workers_per_gpu": 2}, foreign=foreign)
    assert waits(found, "again") == pytest.approx(30, abs=2)


def test_a_host_that_was_away_is_away_again_and_what_it_ran_runs_once_more() -> None:
    away = (Away("g0", START_MS + 5_000, START_MS + 65_000),)
    recorded = Recorded([job(0), job(1, after_s=1)], (gpu(),), (), away)
    found = answer(recorded, rules_of(Settings()), read_change({"more_gpus": [{"like": "g0"}]}))
    assert found["again"]["failed"] == 0
    # lost at 5 s; both start when the host is back
    assert waits(found, "again") == pytest.approx(70, abs=2)
    assert waits(found, "changed") < 15


def test_a_need_that_no_gpu_had_is_cut_to_the_largest_promise() -> None:
    found = play([job(0, gib=200)], {"workers_per_gpu": 2}, gpus=(gpu("g0", 8), gpu("g1", 24)))
    assert found["again"]["all"]["jobs"] == 1
    assert found["again"]["failed"] == 0


def test_an_unknown_gpu_is_named() -> None:
    with pytest.raises(CannotChange, match="no GPU g9 then; there were g0"):
        play([job(0)], {"vram": {"g9": 24 * GIB}})


def test_rules_hold_no_key() -> None:
    settings = Settings(users=(User(name="ann", group="film", key="a-very-secret-key"),))
    assert "a-very-secret-key" not in str(rules_of(settings))


def test_nothing_waits_of_no_jobs() -> None:
    assert figures_of([])["p95_s"] == 0.0
    assert Change() == read_change({})
