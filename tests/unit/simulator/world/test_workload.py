from __future__ import annotations

import pytest

from simulator.world.traces import Request
from simulator.world.workload import Workload, default_copies, superpose

GIB = 2**30
TRACE = [
    Request(at=float(n * 7), tenant=f"T{n % 9}", model=f"M{n % 5}", run_seconds=5.0 + n % 11)
    for n in range(40)
] + [Request(at=281.0, tenant="once", model="M9", run_seconds=3.0)]


def workload(**changes: object) -> Workload:
    values: dict[str, object] = {"gpus": 4, "load": 0.7, "load_times": [2.0, 30.0], "seed": 1}
    return superpose(TRACE, **{**values, **changes})  # type: ignore[arg-type]


def test_the_load_is_met_exactly() -> None:
    made = workload(load=0.6)
    work = sum(arrival.run_seconds for arrival in made.arrivals)
    assert work / (4 * made.horizon) == pytest.approx(0.6)


def test_each_copy_has_tenants_of_its_own_but_the_same_models() -> None:
    made = workload(copies=3)
    assert {a.user for a in made.arrivals} == {f"{r.tenant}~{n}" for r in TRACE for n in range(3)}
    assert {a.model.name for a in made.arrivals} == {r.model for r in TRACE}
    assert len(made.arrivals) == 3 * len(TRACE)


def test_jobs_arrive_in_order_and_within_the_horizon() -> None:
    made = workload()
    times = [arrival.at for arrival in made.arrivals]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < made.horizon


def test_one_seed_is_one_workload_and_another_seed_another() -> None:
    assert workload(seed=3) == workload(seed=3)
    assert workload(seed=3).arrivals != workload(seed=4).arrivals


def test_what_a_model_draws_does_not_depend_on_the_other_rows() -> None:
    few = superpose(TRACE[:10], gpus=4, load=0.7, load_times=[2.0, 30.0], seed=1)
    all_rows = {arrival.model.name: arrival.model for arrival in workload().arrivals}
    assert all(arrival.model == all_rows[arrival.model.name] for arrival in few.arrivals)


def test_sizes_are_drawn_at_35_40_17_and_8_per_cent() -> None:
    many = [Request(float(n), "T", f"M{n}", 1.0) for n in range(4000)]
    made = superpose(many, gpus=4, load=0.7, load_times=[1.0], seed=0, copies=1)
    sizes = [arrival.model.bytes // GIB for arrival in made.arrivals]
    shares = [sizes.count(gib) / len(sizes) for gib in (4, 9, 14, 24)]
    assert shares == pytest.approx([0.35, 0.40, 0.17, 0.08], abs=0.03)


def test_built_in_load_times_have_the_measured_quantiles() -> None:
    many = [Request(float(n), "T", f"M{n}", 1.0) for n in range(20000)]
    made = superpose(many, gpus=4, load=0.7, load_times=[], seed=0, copies=1)
    times = sorted(arrival.model.load_seconds for arrival in made.arrivals)
    found = [times[int(share * len(times))] for share in (0.25, 0.5, 0.9, 0.99)]
    assert found == pytest.approx([3.1, 22.7, 42.0, 51.9], rel=0.1)


def test_tenants_of_three_requests_are_small_and_those_of_four_are_not() -> None:
    requests = [Request(float(n), "three" if n < 3 else "four", "M", 1.0) for n in range(7)]
    made = superpose(requests, gpus=1, load=1.0, load_times=[1.0], seed=0, copies=2)
    assert {arrival.user: arrival.small for arrival in made.arrivals} == {
        "three~0": True,
        "three~1": True,
        "four~0": False,
        "four~1": False,
    }


def test_no_copies_means_as_many_as_the_traces_own_clock_needs() -> None:
    made = workload(gpus=40, copies=0)
    assert made.copies > 4
    assert made.horizon == pytest.approx(TRACE[-1].at, rel=1 / made.copies)


@pytest.mark.parametrize(("gpus", "copies"), [(1, 4), (64, 4), (200, 4), (1000, 20)])
def test_a_large_pool_serves_more_copies(gpus: int, copies: int) -> None:
    assert default_copies(gpus) == copies


def test_a_trace_of_a_single_request_is_a_workload_too() -> None:
    made = superpose(TRACE[:1], gpus=1, load=0.5, load_times=[1.0], seed=0)
    assert len(made.arrivals) == 4
