"""What one plan decides, case by case."""

from __future__ import annotations

from scheduler.decisions import Admit, Release, Reserve, Wait
from scheduler.explanation import explain
from scheduler.plan_config import Limits
from scheduler.policy import plan as make_plan
from scheduler.states import WaitReason, WorkerState
from tests.pools import GIB, config, gpu, job, running, snapshot, worker


def plan(pool, rules):
    """All that one plan says: its decisions, and a wait for each job that it leaves."""
    made = make_plan(pool, pool.now_ms, rules)
    return [*made.decisions, *explain(pool, made)]


def admitted(decisions):
    return {d.job.id: d.worker.id for d in decisions if isinstance(d, Admit)}


def waits(decisions):
    return {d.job.id: d.reason for d in decisions if isinstance(d, Wait)}


def wait_of(decisions, name):
    return next(d for d in decisions if isinstance(d, Wait) and d.job.id == name)


def test_the_user_with_the_least_counter_goes_first_and_pays_for_it():
    jobs = [job("a1", "ann"), job("a2", "ann"), job("b1", "bob")]
    pool = snapshot(
        [gpu("g0"), gpu("g1")],
        [worker("w0", on="g0"), worker("w1", on="g1")],
        jobs,
        virtual={"ann": 50, "bob": 10},
    )
    decisions = plan(pool, config())
    assert [d.job.id for d in decisions if isinstance(d, Admit)] == ["b1", "a1"]
    assert waits(decisions) == {"a2": WaitReason.NO_WORKER}


def test_users_with_equal_counters_take_turns():
    jobs = [job("a1", "ann"), job("a2", "ann"), job("b1", "bob")]
    pool = snapshot(
        [gpu("g0"), gpu("g1")],
        [worker("w0", on="g0"), worker("w1", on="g1")],
        jobs,
        last_admitted={"ann": 50, "bob": 10},
    )
    assert [d.job.id for d in plan(pool, config()) if isinstance(d, Admit)] == ["b1", "a1"]


def test_a_job_without_headroom_waits_and_says_the_figures():
    pool = snapshot(
        [gpu(used=20)],
        [worker("w0", used=20, reserved=20, job="x"), worker("w1")],
        [job("j", need=9)],
        active=[running("x")],
    )
    reserve, wait = plan(pool, config())
    assert reserve == Reserve(wait.job, "gpu0", 1_010_000)
    assert wait == Wait(wait.job, WaitReason.NO_HEADROOM, "needs 9.0 GiB, 4.0 GiB free", "gpu0")


def test_one_plan_never_promises_the_same_bytes_twice():
    jobs = [job("a", "ann", need=14), job("b", "bob", need=14)]
    decisions = plan(snapshot([gpu()], [worker("w0"), worker("w1")], jobs), config())
    assert len(admitted(decisions)) == 1
    assert list(waits(decisions).values()) == [WaitReason.NO_HEADROOM]


def test_idle_residency_in_the_way_is_released_first():
    workers = [worker("w0"), worker("w1", used=14, models=("checkpoints/b",))]
    pool = snapshot([gpu(used=14)], workers, [job("j", need=12)])
    decisions = plan(pool, config())
    assert [d.worker.id for d in decisions if isinstance(d, Release)] == ["w1"]
    assert waits(decisions) == {"j": WaitReason.RELEASING}


def test_a_release_under_way_is_waited_for_not_repeated():
    workers = [worker("w0"), worker("w1", used=14, state=WorkerState.RELEASING)]
    (wait,) = plan(snapshot([gpu(used=14)], workers, [job("j", need=12)]), config())
    assert wait.reason is WaitReason.RELEASING


def test_a_job_larger_than_every_gpu_runs_alone_with_all_there_is():
    pool = snapshot([gpu(used=1)], [worker("w0"), worker("w1", used=1)], [job("j", need=40)])
    (decision,) = plan(pool, config())
    assert isinstance(decision, Admit)
    assert (decision.worker.id, decision.grant.bytes) == ("w1", 24 * GIB)


def test_a_job_larger_than_every_gpu_never_starts_beside_another():
    workers = [worker("w0", used=2, reserved=2, job="x"), worker("w1")]
    decisions = plan(snapshot([gpu(used=2)], workers, [job("j", need=40)]), config())
    assert admitted(decisions) == {}
    decision = wait_of(decisions, "j")
    assert decision.reason is WaitReason.NO_HEADROOM
    assert "more than any GPU" in decision.detail


def test_a_job_that_only_a_card_without_idle_processes_could_hold_runs_with_what_they_leave():
    pool = snapshot(
        [gpu(used=3)],
        [worker("w0", used=1.5), worker("w1", used=1.5)],
        [job("j", need=23)],
    )
    decisions = plan(pool, config())
    assert admitted(decisions) == {"j": "w0"}
    assert decisions[0].grant.bytes == 22.5 * GIB


def test_a_worker_in_quarantine_takes_nothing_though_it_has_the_model():
    pool = snapshot(
        [gpu("g0", used=5), gpu("g1")],
        [
            worker("w0", on="g0", used=5, models=("checkpoints/a",), failures=3, failed_ms=999_000),
            worker("w1", on="g1"),
        ],
        [job("j", models=("checkpoints/a",))],
    )
    assert admitted(plan(pool, config())) == {"j": "w1"}


def test_a_worker_in_quarantine_gives_its_memory_back_too():
    pool = snapshot(
        [gpu(used=16)],
        [worker("w0"), worker("w1", used=16, failures=3, failed_ms=999_000)],
        [job("j", need=20)],
    )
    assert [d.worker.id for d in plan(pool, config()) if isinstance(d, Release)] == ["w1"]


def test_memory_that_another_process_holds_is_waited_for() -> None:
    jobs = [job("j", need=9, submitted_ms=0)]
    pool = snapshot([gpu(foreign=20)], [worker("w0")], jobs, now_ms=500_000)
    decisions = plan(pool, config())
    assert admitted(decisions) == {}
    assert wait_of(decisions, "j").detail == "needs 9.0 GiB, 4.0 GiB free"


def test_a_job_that_waited_in_vain_for_another_process_takes_what_there_is() -> None:
    jobs = [job("j", need=9, submitted_ms=0)]
    pool = snapshot([gpu(foreign=20)], [worker("w0")], jobs, now_ms=700_000)
    (decision,) = plan(pool, config())
    assert isinstance(decision, Admit)
    assert decision.grant.bytes == 4 * GIB


def test_a_users_cap_holds_back_only_that_user():
    pool = snapshot(
        [gpu("g0"), gpu("g1"), gpu("g2")],
        [worker("w0", on="g0"), worker("w1", on="g1"), worker("w2", on="g2", job="x")],
        [job("a", "ann"), job("b", "bob")],
        active=[running("x", "w2", user="ann")],
    )
    decisions = plan(pool, config(users={"ann": Limits(max_running=1)}))
    assert admitted(decisions).keys() == {"b"}
    assert waits(decisions) == {"a": WaitReason.CAP}


def test_a_cap_holds_within_one_plan_too():
    jobs = [job("a1"), job("a2")]
    pool = snapshot([gpu("g0"), gpu("g1")], [worker("w0", on="g0"), worker("w1", on="g1")], jobs)
    decisions = plan(pool, config(users={"ann": Limits(max_running=1)}))
    assert admitted(decisions).keys() == {"a1"}
    assert waits(decisions) == {"a2": WaitReason.CAP}


def test_a_groups_share_of_memory_holds_but_never_bans_its_first_job():
    pool = snapshot(
        [gpu()],
        [worker("w0"), worker("w1")],
        [job("a", need=8, group="small"), job("b", "bob", need=8, group="small")],
    )
    decisions = plan(pool, config(groups={"small": Limits(vram_share=0.25)}))
    assert len(admitted(decisions)) == 1
    assert list(waits(decisions).values()) == [WaitReason.CAP]


def test_in_strict_order_a_users_later_prompt_does_not_pass_the_earlier_one():
    pool = snapshot(
        [gpu(used=20)],
        [worker("w0", used=20, reserved=20, job="x"), worker("w1")],
        [job("big", need=9), job("small", need=1, models=("checkpoints/b",))],
        active=[running("x")],
    )
    decisions = plan(pool, config(strict_order=True))
    assert admitted(decisions) == {}
    assert waits(decisions) == {"big": WaitReason.NO_HEADROOM, "small": WaitReason.FAIRNESS}
    assert admitted(plan(pool, config())) == {"small": "w1"}


def test_no_worker_at_all_is_said_plainly():
    pool = snapshot([gpu()], [worker("w0", state=WorkerState.DOWN)], [job("j")])
    assert waits(plan(pool, config())) == {"j": WaitReason.NO_WORKER}


def blocked_by_bytes(big, small):
    """A big job that only fits once ``x`` is gone, and a small one that fits now."""
    return snapshot(
        [gpu(used=20)],
        [worker("w0", used=20, reserved=20, job="x"), worker("w1")],
        [big, small],
        active=[running("x", seconds=20)],
    )


def test_a_small_job_passes_a_blocked_one_that_it_does_not_delay():
    pool = blocked_by_bytes(job("big", "ann", need=9), job("small", "bob", need=1))
    (admit,) = [d for d in plan(pool, config()) if isinstance(d, Admit)]
    assert admit.job.id == "small"
    assert admit.grant.passed == ("big",)


def test_a_long_job_does_not_pass_a_blocked_one_that_it_would_delay():
    long = job("long", "bob", need=1, need_seconds=100)
    pool = snapshot(
        [gpu(used=20)],
        [worker("w0", used=20, reserved=20, job="x"), worker("w1")],
        [job("big", "ann", need=23.5), long],
        active=[running("x", seconds=20)],
    )
    decisions = plan(pool, config())
    assert admitted(decisions) == {}
    assert waits(decisions) == {"big": WaitReason.NO_HEADROOM, "long": WaitReason.HELD_FOR_HEAD}


def test_nobody_goes_before_a_job_that_was_passed_too_often():
    big = job("big", "ann", need=4, skips=64, models=("checkpoints/a",))
    warm = job("warm", "bob", need=4, models=("checkpoints/b",))
    workers = [worker("w0", used=5, models=("checkpoints/b",))]
    pool = snapshot([gpu(used=5)], workers, [big, warm], virtual={"ann": 10**12})
    assert list(admitted(plan(pool, config()))) == ["big"]
    assert list(admitted(plan(pool, config(max_skips=65)))) == ["warm"]


def test_a_job_whose_place_is_kept_is_not_counted_as_passed():
    big = job("big", "ann", need=9, skips=64)
    pool = blocked_by_bytes(big, job("small", "bob", need=1))
    (admit,) = [d for d in plan(pool, config()) if isinstance(d, Admit)]
    assert (admit.job.id, admit.grant.passed) == ("small", ())


def test_nobody_goes_before_a_job_that_has_aged():
    old = job("old", "ann", submitted_ms=0)
    pool = snapshot([gpu()], [worker()], [old, job("new", "bob")], virtual={"ann": 10**12})
    assert list(admitted(plan(pool, config(aging_ms=900_000)))) == ["old"]
    assert list(admitted(plan(pool, config(aging_ms=1_100_000)))) == ["new"]


def test_a_silent_host_is_passed_over_and_holds_up_nobody():
    gpus = [gpu("gone", heartbeat_ms=0), gpu("here")]
    workers = [worker("w0", on="gone", heartbeat_ms=0), worker("w1", on="here")]
    decisions = plan(snapshot(gpus, workers, [job("a"), job("b", "bob")]), config())
    assert admitted(decisions) == {"a": "w1"}
    assert waits(decisions) == {"b": WaitReason.NO_WORKER}


def test_a_pool_whose_hosts_are_all_silent_has_no_worker():
    pool = snapshot([gpu(heartbeat_ms=0)], [worker("w0", heartbeat_ms=0)], [job("j")])
    (decision,) = plan(pool, config())
    assert decision == Wait(decision.job, WaitReason.NO_WORKER, decision.detail)
    assert decision.detail.startswith("no worker is up")
    assert admitted(plan(pool, config(heartbeat_ms=2_000_000))) == {"j": "w0"}


def test_a_job_that_only_a_busy_gpu_can_hold_waits_for_that_one():
    gpus = [gpu("small", total=8), gpu("large", used=20)]
    workers = [worker("w0", on="small"), worker("w1", on="large", used=20, reserved=20, job="x")]
    decisions = plan(snapshot(gpus, workers, [job("j", need=12), job("k", "bob")]), config())
    assert admitted(decisions) == {"k": "w0"}
    assert waits(decisions) == {"j": WaitReason.NO_HEADROOM}


def test_a_cpu_worker_is_no_worker_for_gpu_work_in_a_pool_with_gpus():
    workers = [worker("cpu", on=""), worker("w0", state=WorkerState.DOWN)]
    jobs = [job("j"), job("k", "bob", need=0, needs_gpu=False, models=())]
    decisions = plan(snapshot([gpu()], workers, jobs), config())
    assert admitted(decisions) == {"k": "cpu"}
    (wait,) = [d for d in decisions if isinstance(d, Wait)]
    assert wait.detail.startswith("no worker with a GPU is up")


def test_in_a_pool_without_gpus_all_work_waits_for_the_busy_cpu_workers():
    (decision,) = plan(snapshot([], [worker("cpu", on="", job="x")], [job("j")]), config())
    assert decision == Wait(decision.job, WaitReason.NO_WORKER, "all workers are busy (1 of 1)")


def test_in_maintenance_nothing_starts_makes_room_or_is_interrupted_and_all_say_why():
    jobs = [job("a1", "ann"), job("a2", "ann"), job("b1", "bob", need=20), job("c1", "cleo")]
    pool = snapshot(
        [gpu(used=8)],
        [worker("w0", used=8, models=("checkpoints/z",)), worker("w1")],
        jobs,
        active=[running("x")],
    )
    decisions = plan(pool, config(closed="new disks", aging_ms=0, max_skips=0))
    assert {type(one) for one in decisions} == {Wait}
    assert waits(decisions) == dict.fromkeys(("a1", "a2", "b1", "c1"), WaitReason.MAINTENANCE)
    assert {one.detail for one in decisions} >= {"new disks"}
    assert admitted(plan(pool, config()))
