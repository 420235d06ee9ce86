"""An ended attempt teaches what it shows, and nothing that it does not."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest

from scheduler.lesson import Place, lesson
from scheduler.probed import Probed
from scheduler.profile import Profile, add_bytes, add_seconds
from scheduler.states import FailReason, Guess, Job, JobState, Lane

GIB = 2**30
NOW = 1_000
ANYWHERE = Place()
#: guessed 8 GiB, 6 s and 4 s of loading; needed 6 GiB, took 3 s
JOB = Job(
    id="j",
    user="ann",
    group="default",
    prompt_id="j",
    client_id=None,
    state=JobState.SUCCEEDED,
    rev=4,
    attempt=1,
    number=1,
    lane=Lane.INTERACTIVE,
    fingerprint="own",
    models=("checkpoints/sub/nice.safetensors", "loras/x.pt"),
    need_bytes=8 * GIB,
    need_seconds=6.0,
    late_seconds=12.0,
    load_seconds=4.0,
    needs_gpu=True,
    inputs=(),
    submitted_ms=1,
    reserved_bytes=8 * GIB,
    peak_bytes=6 * GIB,
    run_seconds=3.0,
    clean=True,
    parents=("near", "far", "all"),
    guess=Guess(8 * GIB, 6.0, 4.0),
)


def taught(
    known: dict[str, Profile | None] | None = None, place: Place = ANYWHERE, **changes: Any
) -> dict[str, Profile]:
    return lesson(dataclasses.replace(JOB, **changes), known or {}, NOW, place)


def own(**changes: Any) -> Profile:
    return taught(**changes)["own"]


def test_a_clean_run_teaches_its_kind_and_the_coarser_ones() -> None:
    found = taught()
    assert list(found) == ["own", "near", "far", "all"]
    for profile in found.values():
        assert profile.bytes.seen.quantile(1) == 0.75
        assert profile.seconds.seen.quantile(1) == 0.5
        assert (profile.count, profile.at_ms) == (1, NOW)


def test_profiles_say_what_they_are_about() -> None:
    names = [profile.about for profile in taught().values()]
    assert names == [
        "nice + x",
        "same base model and size: nice",
        "same base model: nice",
        "everything",
    ]


def test_what_was_known_is_built_on() -> None:
    before = add_bytes(Profile(count=1), 0.75, 1, 1.0)
    assert taught({"own": before})["own"].count == 2
    assert taught({"own": before})["own"].bytes.seen.weight > 1.9


def test_a_run_on_a_used_worker_teaches_only_a_bound_below_what_was_believed() -> None:
    assert own(clean=False).bytes.seen.quantile(1) == 0.75
    assert own(clean=False, peak_bytes=9 * GIB).bytes.seen.weight == 0
    below = taught({"own": add_bytes(Profile(), 0.5, 1, 1.0)}, clean=False)
    assert below["own"].bytes.seen.weight == 1.0


def test_a_run_on_a_used_worker_teaches_coarser_kinds_only_its_time() -> None:
    found = taught(clean=False)
    assert found["near"].bytes.seen.weight == 0
    assert found["near"].seconds.seen.weight == 1


LIMITED = Place(24 * GIB, 24 * GIB, limited=True)
CROWDED = Place(24 * GIB, 10 * GIB)


@pytest.mark.parametrize("place", [LIMITED, CROWDED])
def test_what_was_left_to_a_run_does_not_become_its_need(place: Place) -> None:
    for clean in (True, False):
        found = taught(place=place, clean=clean)["own"]
        assert found.bytes.seen.weight == 0
        assert found.seconds.seen.weight == 1
        assert found.accuracy.byte_runs == 0


@pytest.mark.parametrize("place", [LIMITED, CROWDED])
def test_a_run_that_took_more_than_was_believed_counts_wherever_it_ran(place: Place) -> None:
    found = taught(place=place, peak_bytes=9 * GIB)["own"]
    assert found.bytes.bound.value > 9 / 8
    assert found.accuracy.under == 1


#: within its limit, with room to spare
PROBED = Probed(needed_bytes=5 * GIB, limit_bytes=8 * GIB)


def test_a_probe_tells_that_a_run_under_a_limit_had_all_it_wanted() -> None:
    found = taught(place=LIMITED, probed=PROBED)["own"]
    assert found.bytes.seen.quantile(1) == 0.75
    assert found.accuracy.byte_runs == 1
    assert found.needed == pytest.approx(5 / 8)


def test_a_run_that_came_near_its_limit_might_have_taken_more() -> None:
    found = taught(place=LIMITED, probed=replace(PROBED, limit_bytes=int(6.1 * GIB)))["own"]
    assert found.bytes.seen.weight == 0
    assert found.seconds.seen.weight == 1


SQUEEZED = (replace(PROBED, fallback="tiled"), replace(PROBED, partial=True))


@pytest.mark.parametrize("probed", SQUEEZED)
def test_a_fall_back_with_all_it_was_believed_to_need_raises_the_need(probed: Probed) -> None:
    found = taught(place=Place(24 * GIB, 24 * GIB, limited=True), probed=probed)
    assert list(found) == ["own", "near", "far", "all"]
    assert found["own"].bytes.bound.value >= 1.05
    assert found["own"].seconds.seen.weight == 0
    assert found["own"].needed == 0
    assert found["near"] == Profile(about=found["near"].about)


@pytest.mark.parametrize("probed", SQUEEZED)
def test_a_fall_back_with_a_whole_gpu_asks_for_no_more(probed: Probed) -> None:
    found = taught(place=Place(9 * GIB, 9 * GIB, limited=True), probed=probed)["own"]
    assert found.bytes.bound.value == 0


@pytest.mark.parametrize("probed", SQUEEZED)
def test_a_fall_back_of_a_run_with_less_is_what_the_curve_is_about(probed: Probed) -> None:
    found = own(reserved_bytes=4 * GIB, peak_bytes=4 * GIB, run_seconds=9.0, probed=probed)
    assert [(s.share, s.ratio) for s in found.slowdowns] == [(0.5, 1.5)]
    assert found.bytes.bound.value == 0


def test_a_run_without_torchs_spare_memory_teaches_seconds_as_any_other() -> None:
    lean = {"reserved_bytes": int(7.5 * GIB), "peak_bytes": 7 * GIB}
    found = own(**lean, probed=replace(PROBED, limit_bytes=int(7.5 * GIB)))
    assert found.seconds.seen.weight == found.accuracy.second_runs == 1
    assert found.slowdowns == ()
    assert found.bytes.seen.weight == found.accuracy.byte_runs == 0
    for other in (None, replace(PROBED, fallback="tiled")):
        slowed = own(**lean, probed=other)
        assert slowed.seconds.seen.weight == 0
        assert len(slowed.slowdowns) == 1


def test_a_run_that_found_its_models_gone_teaches_no_seconds() -> None:
    found = own(probed=replace(PROBED, loads=2, load_seconds=2.0), run_seconds=5.0)
    assert found.seconds.seen.weight == found.load.weight == 0
    assert found.accuracy.second_runs == 0


def test_a_small_load_is_part_of_a_warm_run() -> None:
    found = own(probed=replace(PROBED, loads=1, load_seconds=0.1))
    assert found.seconds.seen.weight == 1


def test_a_run_that_was_to_load_and_found_all_there_teaches_its_seconds() -> None:
    found = own(probed=PROBED, granted_load_seconds=4.0)
    assert found.seconds.seen.quantile(1) == 0.5
    assert found.load.weight == 0


def test_loading_takes_at_least_what_the_probe_measured() -> None:
    probed = replace(PROBED, loads=2, load_seconds=2.0)
    found = own(probed=probed, granted_load_seconds=4.0, run_seconds=6.0)
    assert found.load.quantile(1) == pytest.approx(2.0 / 4.0)


def test_what_a_probe_saw_of_a_worker_with_foreign_models_is_not_what_was_needed() -> None:
    assert own(probed=PROBED, clean=False).needed == 0


def test_under_a_limit_out_of_memory_teaches_the_floor_of_the_curve() -> None:
    queued = {"state": JobState.QUEUED, "reserved_bytes": 0, "peak_bytes": 4 * GIB}
    found = own(**queued, probed=replace(PROBED, limit_bytes=5 * GIB))
    assert found.too_small == pytest.approx(5 / 8)
    assert found.bytes.bound.value == 0


def test_a_run_with_room_teaches_its_peak() -> None:
    assert taught(place=Place(24 * GIB, 13 * GIB))["own"].bytes.seen.weight == 1


def test_an_unmeasured_run_teaches_its_seconds() -> None:
    assert own(peak_bytes=0).bytes.seen.weight == 0
    assert own(peak_bytes=0).seconds.seen.weight == 1


def test_a_run_that_loaded_teaches_the_loading_and_not_the_run() -> None:
    warm = add_seconds(Profile(), 0.5, 1, 2.0)
    found = taught({"own": warm}, granted_load_seconds=4.0, run_seconds=7.0)["own"]
    assert found.load.quantile(1) == pytest.approx((7.0 - 3.0) / 4.0)
    assert found.seconds == warm.seconds
    assert found.bytes.seen.weight == 1


def test_loading_a_part_of_the_models_teaches_the_whole() -> None:
    found = own(granted_load_seconds=1.0, run_seconds=8.0)
    assert found.load.quantile(1) == pytest.approx((8.0 - 6.0) / 1.0)


def test_loading_is_never_learned_as_nothing() -> None:
    assert own(granted_load_seconds=4.0, run_seconds=1.0).load.quantile(1) == 0.05


def test_a_run_below_its_comfortable_peak_teaches_the_curve_alone() -> None:
    found = own(reserved_bytes=4 * GIB, peak_bytes=4 * GIB, run_seconds=9.0)
    assert [(s.share, s.ratio) for s in found.slowdowns] == [(0.5, 1.5)]
    assert found.bytes.seen.weight == found.seconds.seen.weight == 0
    assert found.accuracy.byte_runs == found.accuracy.second_runs == 0


def test_promises_are_compared_with_what_came_of_them() -> None:
    for profile in taught().values():
        assert (profile.accuracy.byte_runs, profile.accuracy.under) == (1, 0)
        assert (profile.accuracy.second_runs, profile.accuracy.covered) == (1, 1)
    late = own(run_seconds=13.0, peak_bytes=9 * GIB).accuracy
    assert (late.under, late.covered) == (1, 0)
    unclean = own(clean=False).accuracy
    assert (unclean.byte_runs, unclean.second_runs) == (0, 1)


OUT_OF_MEMORY = [
    {"state": JobState.QUEUED, "reserved_bytes": 0, "need_bytes": 10 * GIB},
    # the retry may have been admitted before anybody came to learn
    {"state": JobState.RESERVED, "reserved_bytes": 23 * GIB, "need_bytes": 10 * GIB},
    {"state": JobState.RUNNING, "reserved_bytes": 0, "need_bytes": 10 * GIB},
    {"state": JobState.FAILED, "reason": FailReason.OOM},
]


@pytest.mark.parametrize("ending", OUT_OF_MEMORY)
def test_out_of_memory_raises_the_bound_above_what_was_in_use(ending: dict[str, Any]) -> None:
    before = add_bytes(Profile(count=2), 0.9, 1, 1.0)
    ((name, profile),) = taught({"own": before}, **ending).items()
    assert name == "own"
    assert profile.bytes.bound.value >= 1.2
    assert (profile.count, profile.seconds) == (2, before.seconds)


def test_out_of_memory_with_a_smaller_reservation_raises_the_floor_not_the_peak() -> None:
    before = add_bytes(Profile(), 0.9, 1, 1.0)
    failed = {"state": JobState.FAILED, "reason": FailReason.OOM, "reserved_bytes": 4 * GIB}
    found = taught({"own": before}, **failed)["own"]
    assert (found.too_small, found.bytes) == (0.5, before.bytes)
    retried = {"state": JobState.QUEUED, "reserved_bytes": 0, "peak_bytes": 4 * GIB}
    found = taught({"own": before}, need_bytes=int(0.9 * 8 * GIB), **retried)["own"]
    assert (found.too_small, found.bytes) == (0.5, before.bytes)


def test_out_of_memory_far_below_the_promise_is_anothers_doing() -> None:
    for ending in OUT_OF_MEMORY:
        assert taught(**(ending | {"peak_bytes": GIB})) == {}
        assert taught(**(ending | {"peak_bytes": 0})) == {}


def test_out_of_memory_alone_on_a_whole_gpu_is_counted() -> None:
    failed = {"state": JobState.FAILED, "reason": FailReason.OOM}
    found = taught(place=Place(int(8.2 * GIB)), **failed)["own"]
    assert found.whole_ooms == 1
    assert found.whole_share == pytest.approx(8.2 / 8, abs=0.001)
    assert taught(place=Place(24 * GIB), **failed)["own"].whole_ooms == 0
    assert taught({"own": found}, place=Place(int(8.2 * GIB)), **failed)["own"].whole_ooms == 2
    assert taught({"own": found}, place=LIMITED)["own"].whole_ooms == 0


@pytest.mark.parametrize(
    "nothing",
    [
        {"run_seconds": 0.0},
        {"state": JobState.CANCELLED},
        {"state": JobState.FAILED, "reason": FailReason.NODE_ERROR},
        {"guess": Guess()},
        {"guess": Guess(), "state": JobState.QUEUED},
    ],
)
def test_other_ends_teach_nothing(nothing: dict[str, Any]) -> None:
    assert taught(**nothing) == {}


def test_a_job_without_a_gpu_teaches_its_time() -> None:
    plain = {"guess": Guess(0, 1.0, 0.0), "need_bytes": 0, "reserved_bytes": 0, "peak_bytes": 0}
    assert own(needs_gpu=False, models=(), **plain).seconds.seen.quantile(1) == 3.0
    assert own(needs_gpu=False, models=(), **plain).about == "no model"


def test_coarser_kinds_bound_the_doubt_of_finer_ones() -> None:
    far = Profile()
    for _ in range(8):
        far = add_bytes(far, 0.78, 1, 1.0)
    (doubtful, sure) = own(), taught({"far": far})["own"]
    assert sure.bytes.bound.value < doubtful.bytes.bound.value
