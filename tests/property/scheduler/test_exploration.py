"""Nothing is tried where it could hurt; planted mutants prove that the checks bite."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler import exploration, policy
from scheduler.decisions import Admit
from scheduler.exploration import trial_of
from scheduler.policy import plan
from scheduler.profile import Profile, add_needed, add_seconds, add_slowdown, add_small_oom
from scheduler.states import Guess, Job, Lane, MemoryLimit, Snapshot, Step
from tests.pools import GIB, config, gpu, job, running, snapshot, worker

MODELS = ("checkpoints/a", "checkpoints/b")
EXAMPLES = 300


@st.composite
def jobs(draw: st.DrawFn, number: int = 0) -> Job:
    need = draw(st.sampled_from([2.0, 5.0, 10.0]))
    steps = (Step(int(0.5 * need * GIB), 6.0), Step(int(0.8 * need * GIB), 3.0))
    return job(
        f"j{number}",
        draw(st.sampled_from(["ann", "bob"])),
        need=need,
        need_seconds=2.0,
        models=(draw(st.sampled_from(MODELS)),),
        load_seconds=4.0,
        curve=steps[draw(st.integers(0, 1)) :],
        lane=draw(st.sampled_from([Lane.BATCH, Lane.BATCH, Lane.BATCH, Lane.INTERACTIVE])),
        attempt=draw(st.sampled_from([0, 0, 0, 1])),
        guess=Guess(int(need * GIB), 2.0, 4.0),
    )


@st.composite
def pools(draw: st.DrawFn) -> Snapshot:
    """One GPU with workers that keep to their limit or not, warm or cold, busy or idle."""
    workers, active, used = [], [], 0.0
    for n in range(draw(st.integers(1, 5))):
        busy = draw(st.sampled_from([False, False, True]))
        hold = 3.0 if busy else draw(st.sampled_from([0.0, 2.0]))
        used += hold
        workers.append(
            worker(
                f"w{n}",
                used=hold,
                reserved=hold if busy else 0,
                job=f"run-{n}" if busy else "",
                models=draw(st.sampled_from([(), MODELS[:1], MODELS])),
                limit=draw(st.sampled_from(MemoryLimit)),
            )
        )
        if busy:
            active.append(running(f"run-{n}", f"w{n}"))
    queued = [draw(jobs(n)) for n in range(draw(st.integers(1, 5)))]
    return snapshot([gpu(total=48, used=used)], workers, queued, active=active)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """What some runs have shown; their shares may lie anywhere."""
    shares = st.one_of(st.sampled_from([0.2, 0.5, 0.8, 0.8]), st.floats(0.05, 1.2))
    profile = add_seconds(Profile(), 1.0, 1, 2.0)
    for share in draw(st.lists(shares, max_size=4)):
        profile = add_slowdown(profile, share, 2.0)
    if draw(st.booleans()):
        profile = add_small_oom(profile, draw(shares))
    return add_needed(profile, draw(st.one_of(st.just(0.0), shares)))


def check_plan(pool: Snapshot) -> None:
    """Whatever is offered for trial, the plan takes only what harms nobody."""
    offered = {j.id: j.curve[0] for backlog in pool.backlogs for j in backlog.jobs}
    made = plan(pool, pool.now_ms, config(trials=offered))
    waiting = [j for backlog in pool.backlogs for j in backlog.jobs]
    busy = sum(1 for one in pool.workers if one.job)
    for admit in (d for d in made.decisions if isinstance(d, Admit)):
        if admit.grant.trial:
            assert admit.job.lane is Lane.BATCH
            assert all(j.lane is Lane.BATCH for j in waiting), "somebody waits who watches"
            assert 2 * busy < len(pool.workers), "the pool is busy"
            assert admit.worker.limit is not MemoryLimit.OBSERVED
            assert set(admit.job.models) <= set(admit.worker.models), "it has to load"
            assert admit.grant.bytes == offered[admit.job.id].bytes
        busy += 1


def check_step(one: Job, profile: Profile) -> None:
    """What is tried lies above every floor and below the comfortable peak."""
    step = trial_of(one, profile)
    if step is None:
        return
    assert one.lane is Lane.BATCH
    assert not one.attempt
    assert one.curve[0].bytes <= step.bytes < one.need_bytes
    assert step.bytes > profile.too_small * one.guess.bytes
    assert not exploration.is_known(profile.slowdowns, step.bytes, one.guess.bytes)


@given(pools())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_plan_tries_nothing_that_could_hurt(pool: Snapshot) -> None:
    check_plan(pool)


@given(jobs(), profiles())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_step_below_a_floor_is_tried(one: Job, profile: Profile) -> None:
    check_step(one, profile)


def test_all_of_it_happens_sometimes() -> None:
    """Else the checks above would hold of a plan that never tries anything."""
    idle = [worker("w0", models=MODELS[:1], limit=MemoryLimit.TOLD), worker("w1"), worker("w2")]
    one = job("j0", need=10, curve=(Step(5 * GIB, 2.0),), lane=Lane.BATCH)
    pool = snapshot([gpu()], idle, [one])
    made = plan(pool, pool.now_ms, config(trials={"j0": one.curve[0]}))
    assert [d.grant.trial for d in made.decisions if isinstance(d, Admit)] == [True]
    guessed = replace(one, guess=Guess(10 * GIB, 1.0, 0.0))
    assert trial_of(guessed, add_seconds(Profile(), 1.0, 1, 2.0)) == one.curve[0]


#: faults by name: the function they are planted in, what is changed there, which check finds it
MUTANTS: dict[str, tuple[Callable[..., object], str, str, str]] = {
    "explores an interactive job, or while one waits": (
        policy._Planner._trial,
        "is_quiet(scene.snapshot) and ",
        "",
        "plan",
    ),
    "explores under load": (
        policy._Planner._trial,
        "busy < QUIET_SHARE * len(seats)",
        "True",
        "plan",
    ),
    "explores where nothing keeps a limit": (
        policy._Planner._trial,
        "seat.worker.limit is MemoryLimit.OBSERVED or ",
        "",
        "plan",
    ),
    "explores on a run that loads": (policy._Planner._trial, " or start.load", "", "plan"),
    "offers an interactive job": (trial_of, "job.lane is not Lane.BATCH", "False", "step"),
    "tries a job again": (trial_of, "or job.attempt ", "", "step"),
    "explores below the floor of the curve": (trial_of, "job.curve[0].bytes", "0", "step"),
    "explores below what ran out of memory": (trial_of, "profile.too_small", "0", "step"),
    "explores above the comfortable peak": (trial_of, "(1 - _LEAST_SAVING)", "2", "step"),
    "explores what is known": (trial_of, "and not is_known", "or is_known", "step"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mutant_is_killed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, old, new, finder = MUTANTS[name]
    source = inspect.cleandoc("\n" + inspect.getsource(function))
    assert old in source
    module = inspect.getmodule(function)
    assert module is not None
    space: dict[str, object] = dict(vars(module))
    exec(
        compile("from __future__ import annotations\n" + source.replace(old, new), name, "exec"),
        space,
    )
    mutant = space[function.__name__]
    if finder == "plan":
        monkeypatch.setattr(policy._Planner, "_trial", mutant)
    else:
        monkeypatch.setitem(globals(), "trial_of", mutant)

    phases = [*settings.default.phases][:3]
    quick = settings(
        max_examples=2000,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=phases,
    )

    @given(pools())
    @quick
    def hunt_plans(pool: Snapshot) -> None:
        check_plan(pool)

    @given(jobs(), profiles())
    @quick
    def hunt_steps(one: Job, profile: Profile) -> None:
        check_step(one, profile)

    with pytest.raises(AssertionError):
        (hunt_plans if finder == "plan" else hunt_steps)()
