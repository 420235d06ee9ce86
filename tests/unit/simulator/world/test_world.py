from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.world.faults import Fault
from simulator.world.policies import policies
from simulator.world.world import WorldError
from tests.worlds import Scene, machine, played, world

SETTINGS = settings(max_examples=30, deadline=None)


def test_fifo_starts_in_order_of_arrival_and_pays_for_each_load() -> None:
    scene = (
        Scene()
        .job("first", 0, model="a", run=10, load=20)
        .job("second", 1, user="bob", model="b", run=5, load=8)
        .job("third", 2, model="a", run=10, load=20)
    )
    # third finds its model: 4 + 4 GiB and a working set of 4 fit in 44
    assert played(scene) == [
        ("first", 0.0, "n0000-0"),
        ("second", 30.0, "n0000-0"),
        ("third", 43.0, "n0000-0"),
    ]


def test_a_run_is_told_in_figures() -> None:
    scene = Scene().job("first", 0).job("second", 1, model="b").job("third", 2)
    made = world(scene, machine())
    made.run()
    figures = made.recorder.figures(workers=1)
    # runs of 10 s, loads of 20 s: 0–30, 30–60, 60–70
    assert figures.jobs == 3
    assert figures.mean_wait_s == pytest.approx((0 + 29 + 58) / 3)
    assert figures.max_wait_s == pytest.approx(58)
    assert figures.warm_hit == pytest.approx(1 / 3)
    assert figures.load_share == pytest.approx(40 / 70)
    assert figures.makespan_s == pytest.approx(70)


def test_warm_placement_finds_the_worker_that_has_the_model() -> None:
    scene = Scene().job("a", 0, model="a").job("b", 0, model="b").job("later", 100, model="b")
    assert played(scene, "fifo", gpus=2)[-1] == ("later", 100.0, "n0000-0")
    assert played(scene, "fifo-warm", gpus=2)[-1] == ("later", 100.0, "n0001-0")


@pytest.mark.parametrize("policy", [*policies()])
def test_under_every_policy_one_seed_is_one_history(policy: str) -> None:
    scene = Scene()
    for n in range(40):
        scene.job(f"{n}", n * 3.0, user=f"u{n % 5}", model=f"m{n % 7}", run=5.0 + n % 4)
    assert played(scene, policy, gpus=3) == played(scene, policy, gpus=3)


job = st.fixed_dictionaries(
    {
        "at": st.floats(0, 200),
        "user": st.sampled_from(["ann", "bob", "cem"]),
        "model": st.sampled_from("abcdef"),
        "run": st.floats(0.5, 60),
    }
)


@SETTINGS
@given(
    jobs=st.lists(job, min_size=1, max_size=25),
    policy=st.sampled_from([*policies()]),
    gpus=st.integers(1, 3),
    workers_per_gpu=st.integers(1, 3),
)
def test_all_jobs_end_and_no_gpu_is_ever_over_committed(
    jobs: list[dict[str, object]], policy: str, gpus: int, workers_per_gpu: int
) -> None:
    scene = Scene()
    for number, values in enumerate(sorted(jobs, key=lambda values: str(values["at"]))):
        # sizes by model: 4, 6, … 14 GiB
        size = 4 + 2 * "abcdef".index(str(values["model"]))
        scene.job(f"{number}", gib=size, **values)  # type: ignore[arg-type]
    scene.arrivals.sort(key=lambda arrival: arrival.at)
    on = machine(gpus, 24, workers_per_gpu)
    made = world(scene, on, policy, most_gib=20)
    made.run()
    assert made.recorder.figures(1).jobs == len(jobs)
    assert made.recorder.figures(1).failed == 0
    assert len(on.starts) == len(jobs)
    assert on.overcommit_bytes <= 0
    assert made.refused == 0


def test_a_job_that_no_gpu_can_hold_is_said_to_wait_for_ever() -> None:
    scene = Scene().job("huge", gib=60)
    with pytest.raises(WorldError, match=r"1 jobs wait .* policy fifo starts none of them"):
        world(scene, machine(), most_gib=64).run()


def test_a_job_of_a_lost_host_runs_again_elsewhere_when_its_lease_has_passed() -> None:
    scene = Scene().job("lost", 0, run=100).job("other", 0, user="bob", run=5, load=1, model="b")
    on = machine(gpus=2)
    faults = [Fault(40.0, "n0000", partial(on.lose, "n0000"))]
    made = world(scene, on, faults=faults)
    made.run()
    starts = [(scene.names[s.job], s.at, s.worker) for s in on.starts]
    assert starts == [
        ("lost", 0.0, "n0000-0"),
        ("other", 0.0, "n0001-0"),
        ("lost", 55.0, "n0001-0"),
    ]
    figures = made.recorder.figures(workers=2)
    assert figures.jobs == 2
    assert figures.waste_share == pytest.approx(40 / (40 + 6 + 120))


def test_foreign_memory_keeps_a_job_waiting_until_it_has_gone() -> None:
    scene = Scene().job("big", 10, gib=24)
    on = machine()
    faults = [
        Fault(0.0, "", partial(on.occupy, "n0000-gpu0", 30 * 2**30)),
        Fault(90.0, "", partial(on.occupy, "n0000-gpu0", 0)),
    ]
    world(scene, on, faults=faults).run()
    assert [start.at for start in on.starts] == [90.0]


def test_a_host_that_comes_back_takes_jobs_again() -> None:
    scene = Scene().job("early", 0, run=1, load=0).job("late", 50)
    on = machine()
    faults = [
        Fault(20.0, "n0000", partial(on.lose, "n0000")),
        Fault(80.0, "", partial(on.recover, "n0000")),
    ]
    world(scene, on, faults=faults).run()
    assert [start.at for start in on.starts] == [0.0, 80.0]


def test_estimates_may_lie_and_runs_still_take_what_they_take() -> None:
    scene = Scene()
    for n in range(30):
        scene.job(f"{n}", 0, run=10, load=0)
    drafts = scene.drafts(lie=0.25)
    assert {draft.work.run_seconds for draft in drafts} == {10.0}
    assert len({draft.job.need_seconds for draft in drafts}) == 30
    honest = scene.drafts()
    assert [replace(draft.work) for draft in honest] == [draft.work for draft in drafts]
