"""What may be tried, on which jobs, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from scheduler.decisions import Admit
from scheduler.exploration import Exploration, is_quiet, trial_of
from scheduler.policy import plan
from scheduler.profile import (
    Profile,
    add_needed,
    add_seconds,
    add_slowdown,
    add_small_oom,
)
from scheduler.states import Guess, Job, Lane, MemoryLimit, Snapshot, Step
from tests.pools import GIB, config, gpu, job, running, snapshot, worker

CURVE = (Step(6 * GIB, 7.2), Step(10 * GIB, 3.0))
WARM = ("checkpoints/a",)
#: its usual time is known, and nothing else
KNOWN = add_seconds(Profile(), 1.0, 1, 2.0)
DAY_MS = 86_400_000


def batch(name: str = "j", **changes: Any) -> Job:
    values: dict[str, Any] = {
        "lane": Lane.BATCH,
        "need": 18.0,
        "need_seconds": 2.5,
        "curve": CURVE,
        "guess": Guess(20 * GIB, 2.5, 5.0),
        "load_seconds": 5.0,
        "fingerprint": "kind",
    }
    return job(name, **(values | changes))


def told(name: str, **changes: Any):
    return worker(name, limit=MemoryLimit.TOLD, **changes)


def pool(jobs: Sequence[Job], workers=(), **changes: Any) -> Snapshot:
    idle = [told("w0", models=WARM), told("w1"), told("w2")]
    return snapshot([gpu(**changes.pop("card", {}))], workers or idle, jobs, **changes)


def test_the_largest_unknown_step_is_tried_first_and_smaller_ones_then() -> None:
    assert trial_of(batch(), KNOWN) == CURVE[1]
    profile = KNOWN
    for step in (CURVE[1], CURVE[0]):
        assert trial_of(batch(), profile) == step
        for _ in range(2):
            profile = add_slowdown(profile, step.bytes / (20 * GIB), 2.0)
    assert trial_of(batch(), profile) is None


def test_once_seen_is_not_yet_known() -> None:
    once = add_slowdown(KNOWN, 0.5, 2.0)
    assert trial_of(batch(), once) == CURVE[1]


def test_what_a_run_could_not_do_without_is_a_step_worth_trying() -> None:
    lean = trial_of(batch(), add_needed(KNOWN, 0.75))
    assert lean == Step(int(1.03 * 15 * GIB), 2.5)
    assert trial_of(batch(), add_needed(KNOWN, 0.88)) == CURVE[1]


def test_nothing_at_or_below_what_ran_out_of_memory_is_tried() -> None:
    assert trial_of(batch(), add_small_oom(KNOWN, 0.5)) is None
    at_least = add_needed(add_small_oom(KNOWN, 0.5), 0.2)
    assert trial_of(batch(), at_least) is None
    assert trial_of(batch(), add_small_oom(KNOWN, 0.4)) == CURVE[1]


def test_nothing_below_the_floor_of_the_curve_is_tried() -> None:
    seen = KNOWN
    for share in (0.5, 0.5, 0.3, 0.3):
        seen = add_slowdown(seen, share, 2.0)
    assert trial_of(batch(), add_needed(seen, 0.2)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"lane": Lane.INTERACTIVE},
        {"attempt": 1},
        {"curve": ()},
        {"guess": Guess()},
        {"curve": (Step(10 * GIB, 200.0),)},
    ],
)
def test_what_is_not_tried_on(changes: dict[str, Any]) -> None:
    assert trial_of(batch(**changes), KNOWN) is None


def test_a_kind_whose_usual_time_is_not_known_is_not_tried() -> None:
    assert trial_of(batch(), None) is None
    assert trial_of(batch(), Profile()) is None


def test_a_pool_is_quiet_while_no_interactive_job_waits_and_most_workers_are_idle() -> None:
    busy = [told(f"w{n}", used=1, reserved=1, job=f"x{n}") for n in range(2)]
    assert is_quiet(pool([batch()]))
    assert not is_quiet(pool([batch(), job("i", "bob")]))
    assert is_quiet(pool([batch()], [busy[0], told("w2"), told("w3")]))
    assert not is_quiet(pool([batch()], [*busy, told("w2"), told("w3")]))
    assert not is_quiet(pool([batch()], [worker("cpu", on="")]))


def test_a_kind_is_tried_so_often_a_day_and_others_beside_it() -> None:
    book = Exploration()
    here = pool([batch("j"), batch("k"), batch("l", fingerprint="other")])
    assert [one.id for one in book.wanted(here, 2)] == ["j", "l"]
    for _ in range(2):
        book.begun(batch(), here.now_ms)
    assert [one.id for one in book.wanted(here, 2)] == ["l"]
    tomorrow = replace(here, now_ms=here.now_ms + DAY_MS)
    assert [one.id for one in book.wanted(tomorrow, 2)] == ["j", "l"]
    assert book.wanted(here, 0) == []


def test_a_busy_pool_asks_for_no_profiles() -> None:
    assert Exploration().wanted(pool([batch(), job("i", "bob")]), 2) == []


def tried(here: Snapshot, trials: dict[str, Step]) -> dict[str, tuple[int, bool]]:
    made = plan(here, here.now_ms, config(trials=trials))
    admits = [d for d in made.decisions if isinstance(d, Admit)]
    return {d.job.id: (d.grant.bytes // GIB, d.grant.trial) for d in admits}


def test_a_plan_gives_a_trial_its_step_and_marks_it() -> None:
    here = pool([batch()])
    assert tried(here, {}) == {"j": (18, False)}
    assert tried(here, {"j": CURVE[0]}) == {"j": (6, True)}
    made = plan(here, here.now_ms, config(trials={"j": CURVE[0]}))
    (admit,) = (d for d in made.decisions if isinstance(d, Admit))
    assert admit.grant.seconds == 7.2


def test_a_run_that_loads_its_models_is_no_trial() -> None:
    here = pool([batch()], [told("w0"), told("w1"), told("w2")])
    assert tried(here, {"j": CURVE[0]}) == {"j": (18, False)}


def test_a_worker_that_keeps_to_no_limit_tries_nothing() -> None:
    here = pool([batch()], [worker("w0", models=WARM), worker("w1"), worker("w2")])
    assert tried(here, {"j": CURVE[0]}) == {"j": (18, False)}


def test_what_the_same_plan_started_counts_as_busy() -> None:
    small = batch("k", user="ann", need=2, curve=(), need_seconds=1.0)
    both = pool([small, batch("j", user="bob")], [told("w0", models=WARM), told("w1", models=WARM)])
    found = tried(both, {"j": CURVE[0]})
    assert [trial for _, trial in found.values()] == [False, False]


def test_beside_who_leaves_no_room_for_it_nothing_is_tried() -> None:
    workers = [told("w0", used=15, reserved=15, job="x"), told("w1", models=WARM), told("w2")]
    here = pool([batch()], workers, card={"used": 15}, active=[running("x")])
    assert tried(here, {"j": CURVE[1]}) == {}
