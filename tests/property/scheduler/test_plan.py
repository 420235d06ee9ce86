"""Whatever the pool looks like, no plan over-commits it; planted mutants prove the check bites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler import lines, policy, reservation
from scheduler.catalogue import Catalogue, describe, missing, requires
from scheduler.decisions import Admit, Release, Reserve
from scheduler.equipment import Equipment
from scheduler.explanation import explain
from scheduler.placement import BASE_BYTES, Card, Seat, capacity_bytes
from scheduler.plan_config import Limits
from scheduler.policy import plan
from scheduler.states import Job, MemoryLimit, Snapshot, Step, WorkerState
from scheduler.whole import WholeGpus
from tests.pools import GIB, NO_SAFETY, config, gpu, job, running, snapshot, worker

MODELS = ("checkpoints/a", "checkpoints/b", "checkpoints/c")


def _info(*choices: str) -> dict[str, Any]:
    return {"Load": {"input": {"required": {"name": [list(choices), {}]}}, "output_node": True}}


#: what some workers offer, and what jobs ask for
CATALOGUES = {choices: Catalogue(describe(_info(*choices))[1]) for choices in ("a", "b", "ab")}
ASKED = {
    choice: requires(
        {"1": {"class_type": "Load", "inputs": {"name": choice}}}, _info("a", "b"), ["1"]
    )
    for choice in "ab"
}


@st.composite
def pools(draw: st.DrawFn) -> Snapshot:
    """Pools whose present is within bounds, and jobs that mostly could run there."""
    gpus, workers, active = [], [], []
    for g in range(draw(st.integers(1, 3))):
        left = 24.0
        foreign = draw(st.sampled_from([0.0, 2.0, 8.0]))
        left -= foreign
        used = 0.0
        for w in range(draw(st.integers(1, 4))):
            hold = min(left, draw(st.sampled_from([0.0, 1.0, 4.0, 9.0])))
            left -= hold
            busy = hold > 0 and draw(st.booleans())
            resident = hold if not busy else hold * draw(st.sampled_from([0.2, 1.0]))
            used += resident
            name = f"g{g}w{w}"
            workers.append(
                worker(
                    name,
                    on=f"gpu{g}",
                    used=resident,
                    reserved=hold if busy else 0,
                    job=f"run-{name}" if busy else "",
                    models=draw(st.sampled_from([(), MODELS[:1], MODELS[1:2], MODELS[:2]])),
                    limit=draw(st.sampled_from(MemoryLimit)),
                    state=draw(st.sampled_from([WorkerState.READY] * 4 + [WorkerState.DOWN])),
                    catalogue=draw(st.sampled_from(["", "ab", "ab", "a", "b"])),
                )
            )
            if busy:
                seconds = draw(st.sampled_from([1.0, 30.0]))
                active.append(running(f"run-{name}", name, gpu=f"gpu{g}", seconds=seconds))
        gpus.append(gpu(f"gpu{g}", used=used, foreign=foreign))
    jobs = [draw(jobs_(n)) for n in range(draw(st.integers(0, 8)))]
    return replace(snapshot(gpus, workers, jobs, active=active), catalogues=CATALOGUES)


@st.composite
def jobs_(draw: st.DrawFn, number: int) -> Job:
    need = draw(st.sampled_from([1.0, 3.0, 6.0, 10.0, 17.0, 30.0]))
    curve = (Step(int(need * GIB * 0.6), 1.2),) if draw(st.booleans()) else ()
    return job(
        f"j{number}",
        draw(st.sampled_from(["ann", "bob", "cyd"])),
        need=need,
        models=(draw(st.sampled_from(MODELS)),),
        curve=curve,
        need_seconds=draw(st.sampled_from([1.0, 60.0])),
        skips=draw(st.sampled_from([0, 0, 0, 3])),
        requires=draw(st.sampled_from(["", "", ASKED["a"], ASKED["b"]])),
    )


def check(pool: Snapshot) -> None:
    """Commit the plan in thought and look at every GPU."""
    made = plan(pool, pool.now_ms, config(users={"bob": Limits(max_running=1)}, max_skips=3))
    workers = {w.id: w for w in pool.workers}
    hold = {w.id: w.hold_bytes for w in pool.workers}
    taken: set[str] = set()
    for decision in made.decisions:
        if isinstance(decision, Release):
            assert not workers[decision.worker.id].job
            assert decision.worker.id not in taken
            taken.add(decision.worker.id)
        if not isinstance(decision, Admit):
            continue
        target, grant = workers[decision.worker.id], decision.grant
        assert not target.job
        assert target.state is WorkerState.READY
        offered = pool.catalogues.get(target.catalogue)
        assert offered is None or not missing(offered, decision.job.requires)
        assert target.id not in taken
        taken.add(target.id)
        others = sum(hold[w.id] for w in pool.workers if w.gpu == target.gpu and w.id != target.id)
        device = next(g for g in pool.gpus if g.id == target.gpu)
        assert grant.bytes + others <= capacity_bytes(device, NO_SAFETY)
        assert grant.seconds > 0
        assert grant.user_charge > 0
        _check_enough(decision)
        _check_largest(pool, decision)
        hold[target.id] = max(target.used_bytes, grant.bytes)
    _check_bob(pool, made.decisions)
    queued = {j.id for b in pool.backlogs for j in b.jobs}
    told = [d.job.id for d in made.decisions if isinstance(d, Admit)]
    told += [wait.job.id for wait in explain(pool, made)]
    assert sorted(told) == sorted(queued)


def _check_enough(admit: Admit) -> None:
    """Nobody is promised less than the job runs in, but who gets all of a GPU."""
    floor = admit.job.curve[0].bytes if admit.job.curve else admit.job.need_bytes
    if admit.worker.limit is MemoryLimit.OBSERVED:
        floor = admit.job.need_bytes
    assert admit.grant.bytes >= min(floor, 6 * GIB)


def _check_largest(pool: Snapshot, admit: Admit) -> None:
    """Who is given less than that gets it on the GPU that could promise most of all it may use."""
    if admit.grant.bytes >= min([admit.job.need_bytes, *(s.bytes for s in admit.job.curve)]):
        return
    empty = dict.fromkeys((g.id for g in pool.gpus), BASE_BYTES + 24 * GIB)
    usable = set()
    for one in pool.workers:
        empty[one.gpu] -= BASE_BYTES
        offered = pool.catalogues.get(one.catalogue)
        if offered is None or not missing(offered, admit.job.requires):
            usable.add(one.gpu)
    assert empty[admit.worker.gpu] == max(empty[name] for name in usable)


def _check_bob(pool: Snapshot, decisions: tuple[object, ...]) -> None:
    runs = sum(j.user == "bob" for j in pool.active.values())
    assert runs + sum(isinstance(d, Admit) and d.job.user == "bob" for d in decisions) <= max(
        1, runs
    )


@given(pools())
@settings(max_examples=400, deadline=None)
def test_no_plan_promises_more_than_there_is_and_every_job_is_answered(pool: Snapshot) -> None:
    check(pool)


def serve(pool: Snapshot, plans: int = 12) -> None:
    """Make plan after plan while ever new users send jobs that find their model loaded.

    Everybody's counters are equal, so that only the cost of loading puts them before
    ``ann``, and nothing but the bound on being passed lets her job start.
    """
    skips = 0
    for number in range(plans):
        first = job("old", "ann", need=4, models=MODELS[:1], skips=skips)
        warm = job(f"warm-{number}", "bob", need=4, models=MODELS[1:2])
        now = replace(pool, backlogs=snapshot([], [], [first, warm]).backlogs)
        for decision in plan(now, now.now_ms, config(max_skips=5)).decisions:
            if isinstance(decision, Admit):
                if decision.job.id == "old":
                    assert skips == 5
                    return
                skips += decision.grant.passed.count("old")
    pytest.fail(f"passed {skips} times and never started")


def test_a_job_is_passed_a_bounded_number_of_times() -> None:
    serve(snapshot([gpu()], [worker("w0", used=2, models=MODELS[1:2])], []))


BLOCKED = snapshot(
    [gpu(used=20)],
    [worker("w0", used=20, reserved=20, job="x"), worker("w1", models=MODELS[1:2])],
    [job("big", "ann", need=23), job("long", "bob", need=2, models=MODELS[1:2], need_seconds=99)],
    active=[running("x", seconds=20)],
)


def test_nothing_that_runs_late_is_admitted_past_a_kept_place() -> None:
    """``long`` would still hold its 2 GiB when ``x`` ends and ``big`` could start."""
    made = plan(BLOCKED, BLOCKED.now_ms, config())
    assert [d.job.id for d in made.decisions if isinstance(d, Reserve)] == ["big"]
    assert not [d for d in made.decisions if isinstance(d, Admit)]


@pytest.mark.parametrize(("seconds", "need"), [(9.0, 2.0), (99.0, 0.5)])
def test_what_is_gone_in_time_or_leaves_room_may_pass(seconds: float, need: float) -> None:
    big = job("big", "ann", need=22)
    small = job("small", "bob", need=need, models=MODELS[1:2], need_seconds=seconds)
    pool = replace(BLOCKED, backlogs=snapshot([], [], [big, small]).backlogs)
    made = plan(pool, pool.now_ms, config())
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == ["small"]


#: a GPU of 24 GiB that is free beside one of 48 that is not
UNLIKE = snapshot(
    [gpu("gpu0"), gpu("gpu1", 48, used=4)],
    [worker("w0"), worker("w1", on="gpu1", used=4, reserved=4, job="x")],
    [job("big", "ann", need=60)],
    active=[running("x", "w1", gpu="gpu1", seconds=20)],
)


@given(st.integers(49, 400), st.integers(0, 20), st.sampled_from([0, 3]))
def test_what_no_gpu_can_hold_waits_for_the_largest(need: int, foreign: int, skips: int) -> None:
    big = job("big", "ann", need=need, skips=skips)
    gpus = (UNLIKE.gpus[0], gpu("gpu1", 48, used=4, foreign=foreign))
    pool = replace(UNLIKE, gpus=gpus, backlogs=snapshot([], [], [big]).backlogs)
    made = plan(pool, pool.now_ms, config(max_skips=3))
    assert not [d for d in made.decisions if isinstance(d, Admit)]
    assert [d.gpu for d in made.decisions if isinstance(d, Reserve)] == ["gpu1"]


def _residency_ignored(seat: Seat) -> int:
    others = [s for s in seat.card.seats if s is not seat] if seat.card else []
    return (seat.card.capacity if seat.card else 0) - sum(s.reserved for s in others)


def _reservations_ignored(seat: Seat) -> int:
    others = [s for s in seat.card.seats if s is not seat] if seat.card else []
    return (seat.card.capacity if seat.card else 0) - sum(s.used for s in others)


#: faults by name: where they are planted, and which check finds them
MUTANTS: dict[str, tuple[object, str, object, str]] = {
    "residency ignored": (Seat, "headroom", property(_residency_ignored), "check"),
    "reservations ignored": (Seat, "headroom", property(_reservations_ignored), "check"),
    "no fit check": (Seat, "headroom", property(lambda seat: 1000 * GIB), "check"),
    "admissions forgotten": (Seat, "take", lambda *args: None, "check"),
    "a card counts no holds": (Card, "add", lambda card, seat: card.seats.append(seat), "check"),
    "equipment ignored": (Equipment, "offers", lambda self, job, worker: True, "check"),
    "caps ignored": (policy, "find_start", None, "check"),
    "floor ignored": (reservation, "least_bytes", lambda job, seat: 1, "check"),
    "any whole GPU will do": (WholeGpus, "offers", lambda self, job, card: True, "whole"),
    "unbounded passing": (lines, "is_forced", lambda scene, job: False, "serve"),
    "kept places ignored": (policy, "cast_shadow", lambda *args, **_: None, "backfill"),
}


def _find_start_without_caps(scene, jobs, *, forced):
    scene.caps.over = lambda job: None
    return _find_start(scene, jobs, forced=forced)


_find_start = policy.find_start


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mutant_is_killed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, attribute, mutant, finder = MUTANTS[name]
    monkeypatch.setattr(where, attribute, mutant or _find_start_without_caps)
    if attribute == "is_forced":
        monkeypatch.setattr(policy, attribute, mutant)
    kill: Callable[[], None]

    @given(pools())
    @settings(
        max_examples=400,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[*settings.default.phases][:3],
    )
    def hunt(pool: Snapshot) -> None:
        check(pool)

    kill = {
        "check": hunt,
        "serve": test_a_job_is_passed_a_bounded_number_of_times,
        "whole": test_what_no_gpu_can_hold_waits_for_the_largest,
        "backfill": test_nothing_that_runs_late_is_admitted_past_a_kept_place,
    }[finder]
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        kill()
