"""Lanes, deadlines and what is held back, as one plan sees the queues."""

from __future__ import annotations

from dataclasses import replace

from scheduler.decisions import Admit, Refuse
from scheduler.plan_config import Limits
from scheduler.policy import plan
from scheduler.states import FailReason, Lane, WaitReason
from tests.pools import config, gpu, job, snapshot, worker


def admitted(jobs, **rules) -> list[str]:
    pool = snapshot([gpu()], [worker()], jobs)
    made = plan(pool, pool.now_ms, config(**rules))
    return [d.job.id for d in made.decisions if isinstance(d, Admit)]


def test_interactive_jobs_go_before_batch_jobs_whatever_the_counters() -> None:
    jobs = [job("b", "ann", lane=Lane.BATCH), job("i", "bob")]
    pool = snapshot([gpu()], [worker()], jobs, virtual={"bob": 10**12})
    made = plan(pool, pool.now_ms, config())
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == ["i"]


def test_a_users_interactive_job_does_not_wait_for_the_users_batch() -> None:
    assert admitted([job("b", lane=Lane.BATCH), job("i")]) == ["i"]


def test_batch_jobs_run_when_nobody_else_waits_and_stop_when_told() -> None:
    batch = [job("b", lane=Lane.BATCH)]
    assert admitted(batch) == ["b"]
    assert admitted(batch, hold_until_ms=2_000_000) == []


def test_a_batch_job_that_has_aged_goes_before_interactive_ones() -> None:
    jobs = [job("b", "ann", lane=Lane.BATCH, submitted_ms=0), job("i", "bob")]
    assert admitted(jobs, aging_ms=900_000) == ["b"]


def test_a_job_past_its_deadline_is_refused_with_words() -> None:
    late = job("late", deadline_ms=999_999, submitted_ms=990_000)
    pool = snapshot([gpu()], [worker()], [late, job("next")])
    made = plan(pool, pool.now_ms, config())
    refuse, admit = made.decisions
    assert isinstance(refuse, Refuse)
    assert refuse.reason is FailReason.EXPIRED
    assert "10 s" in refuse.message
    assert isinstance(admit, Admit)
    assert admit.job.id == "next"


def test_the_plan_asks_to_be_made_again_when_a_deadline_passes() -> None:
    soon = job("soon", deadline_ms=1_002_000)
    pool = snapshot([gpu()], [worker(job="x")], [soon])
    assert plan(pool, pool.now_ms, config()).again_ms == 1_002_000


def test_only_the_users_next_in_turn_are_looked_at_but_nobody_who_has_aged_is_missed() -> None:
    jobs = [job(f"j{n}", f"user{n:02}", models=()) for n in range(8)]
    jobs.append(job("old", "zoe", submitted_ms=0, models=()))
    pool = snapshot([gpu()], [worker()], jobs, virtual={"zoe": 10**12})
    made = plan(pool, pool.now_ms, config(heads=2, aging_ms=900_000))
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == ["old"]
    assert set(made.blocked) == {"user00", "user01"}


def test_a_refused_job_is_left_alone_for_a_moment() -> None:
    jobs = [job("refused"), job("other", "bob")]
    assert admitted(jobs, refused=frozenset({"refused"})) == ["other"]


def test_a_held_back_batch_job_says_why() -> None:
    pool = snapshot([gpu()], [worker()], [job("b", lane=Lane.BATCH)])
    made = plan(pool, pool.now_ms, config(hold_until_ms=2_000_000))
    assert made.blocked["ann"].reason is WaitReason.HELD_FOR_HEAD


def test_a_peak_holds_no_batch_job_back_for_longer_than_it_may() -> None:
    old = [job("b", lane=Lane.BATCH, submitted_ms=1_000_000 - 900_000)]
    assert admitted(old, hold_until_ms=2_000_000, hold_ms=900_000) == ["b"]
    assert admitted(old, hold_until_ms=2_000_000, hold_ms=900_001, aging_ms=1) == []
    assert (
        admitted(old, hold_until_ms=2_000_000, hold_ms=900_000, hold_old_until_ms=1_000_001) == []
    )


def test_while_a_peak_lasts_batch_jobs_that_have_aged_go_after_interactive_ones() -> None:
    jobs = [job("b", "ann", lane=Lane.BATCH, submitted_ms=0, skips=99), job("i", "bob")]
    assert admitted(jobs, hold_until_ms=2_000_000, hold_ms=900_000, aging_ms=900_000) == ["i"]
    assert admitted(jobs, aging_ms=900_000) == ["b"]


def test_the_plan_is_made_again_when_a_batch_job_need_wait_for_no_peak() -> None:
    pool = snapshot([gpu()], [worker()], [job("b", lane=Lane.BATCH, submitted_ms=990_000)])
    made = plan(pool, pool.now_ms, config(hold_until_ms=2_000_000, hold_ms=15_000))
    assert made.again_ms == 1_005_000


def test_batch_jobs_start_again_when_the_peak_is_over() -> None:
    batch = [job("b", lane=Lane.BATCH)]
    assert admitted(batch, hold_until_ms=1_000_001) == []
    assert admitted(batch, hold_until_ms=1_000_000) == ["b"]
    pool = snapshot([gpu()], [worker()], batch)
    made = plan(pool, pool.now_ms, config(hold_until_ms=1_500_000, hold_old_until_ms=1_200_000))
    assert made.again_ms == 1_200_000
    assert plan(pool, pool.now_ms, config(hold_until_ms=1_500_000)).again_ms == 1_500_000


def test_users_whom_no_worker_serves_take_no_place_from_those_who_could_start() -> None:
    crowd = [f"user{n:02}" for n in range(5)]
    jobs = [*(job(f"j-{user}", user) for user in crowd), job("mine", "zoe")]
    pool = snapshot([gpu()], [worker()], jobs, virtual={"zoe": 10**12})
    nowhere = {user: Limits(workers=("elsewhere",)) for user in crowd}
    made = plan(pool, pool.now_ms, config(heads=2, users=nowhere))
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == ["mine"]


def test_users_at_their_cap_take_no_place_from_those_who_could_start() -> None:
    crowd = [f"user{n:02}" for n in range(5)]
    jobs = [*(job(f"j-{user}", user) for user in crowd), job("mine", "zoe")]
    pool = snapshot([gpu()], [worker()], jobs, virtual={"zoe": 10**12})
    full = {user: Limits(max_running=0) for user in crowd}
    made = plan(pool, pool.now_ms, config(heads=2, users=full))
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == ["mine"]


def test_a_user_whom_no_worker_serves_is_told_so_and_is_not_passed_by_others() -> None:
    jobs = [job("stuck-1", "ann"), job("stuck-2", "ann", lane=Lane.BATCH), job("mine", "zoe")]
    pool = snapshot([gpu()], [worker()], jobs, virtual={"zoe": 10**12})
    made = plan(pool, pool.now_ms, config(users={"ann": Limits(workers=("elsewhere",))}))
    (admit,) = made.decisions
    assert isinstance(admit, Admit)
    assert (admit.job.id, admit.grant.passed) == ("mine", ())
    assert made.blocked["ann"].job.id == "stuck-1"
    assert made.blocked["ann"].reason is WaitReason.CAP
    busy = replace(pool, workers=(worker(job="x"),))
    told = plan(busy, pool.now_ms, config(users={"ann": Limits(workers=("elsewhere",))}))
    assert told.blocked["ann"] == made.blocked["ann"]


def test_a_job_starts_behind_one_of_the_same_user_that_no_worker_may_run() -> None:
    jobs = [job("drawn"), job("glued", need=0, needs_gpu=False, models=())]
    elsewhere = {"ann": Limits(workers=("plain",))}
    pool = snapshot([gpu()], [worker(), worker("plain", on="")], jobs)
    made = plan(pool, pool.now_ms, config(users=elsewhere))
    assert [d.job.id for d in made.decisions if isinstance(d, Admit)] == ["glued"]
