"""What jobs cost, and whose turn it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from scheduler.decisions import Admit
from scheduler.fairness import charge, dominant_share, jain
from scheduler.plan_config import Limits
from scheduler.policy import plan
from tests.pools import GIB, config, gpu, job, snapshot, worker


def test_a_long_video_costs_as_much_as_many_short_pictures() -> None:
    assert charge(1.0, 1200, 1.0) == 240 * charge(1.0, 5, 1.0)


def test_a_heavier_weight_pays_less() -> None:
    assert charge(1.0, 10, 2.0) == charge(1.0, 5, 1.0)


@pytest.mark.parametrize(
    ("bytes_", "capacity", "seats", "expected"),
    [(6, 24, 1, 1.0), (6, 24, 4, 0.25), (12, 24, 4, 0.5), (0, 0, 4, 0.25), (30, 24, 4, 1.0)],
)
def test_the_dominant_share_is_the_larger_of_bytes_and_workers(
    bytes_: int, capacity: int, seats: int, expected: float
) -> None:
    assert dominant_share(bytes_ * GIB, capacity * GIB, seats) == expected


def test_jains_index_is_one_for_equals_and_one_over_n_for_a_monopoly() -> None:
    assert jain([3, 3, 3]) == 1.0
    assert jain([9, 0, 0]) == pytest.approx(1 / 3)


def serve(weights: dict[str, float], seconds: dict[str, float], turns: int) -> Counter[str]:
    """GPU-seconds of each user on one worker when everybody always has a job waiting."""
    virtual = dict.fromkeys(weights, 0)
    received: Counter[str] = Counter()
    limits = {user: Limits(weight=weight) for user, weight in weights.items()}
    for turn in range(turns):
        jobs = [job(f"{u}{turn}", u, need_seconds=seconds[u], models=()) for u in weights]
        pool = snapshot([gpu()], [worker()], jobs, virtual=virtual)
        made = plan(pool, pool.now_ms, config(users=limits))
        (admit,) = [d for d in made.decisions if isinstance(d, Admit)]
        virtual[admit.job.user] += admit.grant.user_charge
        received[admit.job.user] += int(admit.job.need_seconds)
    return received


def test_users_who_always_wait_get_equal_time_however_long_their_jobs() -> None:
    got = serve({"ann": 1, "bob": 1, "cyd": 1}, {"ann": 5, "bob": 60, "cyd": 20}, 300)
    assert jain(got.values()) > 0.99


def test_time_is_shared_by_weight() -> None:
    got = serve({"ann": 3, "bob": 1}, {"ann": 5, "bob": 5}, 200)
    assert got["ann"] / got["bob"] == pytest.approx(3, rel=0.05)


def test_groups_come_before_users() -> None:
    jobs = [
        job("a", "ann", group="busy", models=()),
        job("b", "bob", group="calm", models=()),
    ]
    pool = snapshot(
        [gpu()], [worker()], jobs, virtual={"bob": 10**9}, groups={"busy": 10, "calm": 5}
    )
    made = plan(pool, pool.now_ms, config())
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == ["b"]


def test_the_small_users_of_a_burst_start_within_one_job() -> None:
    """32, 2 and 3 jobs of three users at once on two GPUs: the two small ones start first."""
    jobs = [job(f"a{n}", "ann", models=()) for n in range(32)]
    jobs += [job(f"b{n}", "bob", models=()) for n in range(2)]
    jobs += [job(f"c{n}", "cyd", models=()) for n in range(3)]
    gpus = [gpu("g0"), gpu("g1")]
    workers = [worker("w0", on="g0"), worker("w1", on="g1")]
    virtual = {"ann": 0, "bob": 0, "cyd": 0}
    order: list[str] = []
    while jobs:
        pool = snapshot(gpus, workers, jobs, virtual=virtual)
        for admit in plan(pool, pool.now_ms, config()).decisions:
            assert isinstance(admit, Admit)
            virtual[admit.job.user] += admit.grant.user_charge
            order.append(admit.job.user)
            jobs = [one for one in jobs if one.id != admit.job.id]
    assert set(order[:3]) == {"ann", "bob", "cyd"}
    assert Counter(order[:6]) == {"ann": 2, "bob": 2, "cyd": 2}


def test_a_cold_job_goes_first_only_when_its_user_is_that_much_behind() -> None:
    warm = worker(used=6, models=("checkpoints/b",))
    jobs = [
        job("cold", "ann", load_seconds=20.0),
        job("warm", "bob", models=("checkpoints/b",)),
    ]
    pool = snapshot([gpu(used=6)], [warm], jobs, virtual={"ann": 0, "bob": 19_000_000})

    def first(virtual: int) -> str:
        backlogs = tuple(
            replace(b, virtual=virtual if b.user == "bob" else 0) for b in pool.backlogs
        )
        made = plan(replace(pool, backlogs=backlogs), pool.now_ms, config())
        return next(d.job.id for d in made.decisions if isinstance(d, Admit))

    assert first(19_000_000) == "warm"
    assert first(60_000_000) == "cold"
