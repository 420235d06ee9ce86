"""What one plan decides, case by case."""

from __future__ import annotations

from scheduler.policy import Admit, Limits, Release, Wait, plan
from scheduler.states import WaitReason, WorkerState
from tests.pools import GIB, config, gpu, job, snapshot, worker


def admitted(decisions):
    return {d.job.id: d.worker.id for d in decisions if isinstance(d, Admit)}


def waits(decisions):
    return {d.job.id: d.reason for d in decisions if isinstance(d, Wait)}


def test_users_take_turns_the_one_served_longest_ago_first():
    jobs = [job("a1", "ann"), job("a2", "ann"), job("b1", "bob")]
    pool = snapshot(
        [gpu()],
        [worker("w0"), worker("w1")],
        jobs,
        last_admitted={"ann": 50, "bob": 10},
    )
    decisions = plan(pool, config())
    assert [d.job.id for d in decisions if isinstance(d, Admit)] == ["b1", "a1"]
    assert waits(decisions) == {"a2": WaitReason.NO_WORKER}


def test_a_job_without_headroom_waits_and_says_the_figures():
    pool = snapshot(
        [gpu(used=20)],
        [worker("w0", used=20, reserved=20, job="x"), worker("w1")],
        [job("j", need=9)],
    )
    (decision,) = plan(pool, config())
    assert decision == Wait(decision.job, WaitReason.NO_HEADROOM, "needs 9.0 GiB, 4.0 GiB free")


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
    decisions = plan(snapshot([gpu(used=14)], workers, [job("j", need=12)]), config())
    assert decisions == [Wait(decisions[0].job, WaitReason.RELEASING, decisions[0].detail)]


def test_a_job_larger_than_every_gpu_runs_alone_with_all_there_is():
    pool = snapshot([gpu(used=1)], [worker("w0"), worker("w1", used=1)], [job("j", need=40)])
    (decision,) = plan(pool, config())
    assert isinstance(decision, Admit)
    assert decision.bytes == 23 * GIB


def test_a_job_larger_than_every_gpu_never_starts_beside_another():
    workers = [worker("w0", used=2, reserved=2, job="x"), worker("w1")]
    (decision,) = plan(snapshot([gpu(used=2)], workers, [job("j", need=40)]), config())
    assert isinstance(decision, Wait)
    assert decision.reason is WaitReason.NO_HEADROOM
    assert "more than any GPU" in decision.detail


def test_memory_that_another_process_holds_is_waited_for() -> None:
    jobs = [job("j", need=9, submitted_ms=0)]
    pool = snapshot([gpu(foreign=20)], [worker("w0")], jobs, now_ms=500_000)
    (decision,) = plan(pool, config())
    assert decision == Wait(jobs[0], WaitReason.NO_HEADROOM, "needs 9.0 GiB, 4.0 GiB free")


def test_a_job_that_waited_in_vain_for_another_process_takes_what_there_is() -> None:
    jobs = [job("j", need=9, submitted_ms=0)]
    pool = snapshot([gpu(foreign=20)], [worker("w0")], jobs, now_ms=700_000)
    (decision,) = plan(pool, config())
    assert isinstance(decision, Admit)
    assert decision.bytes == 4 * GIB


def test_a_users_cap_holds_back_only_that_user():
    pool = snapshot(
        [gpu()],
        [worker("w0"), worker("w1")],
        [job("a", "ann"), job("b", "bob")],
        running={"ann": 1},
    )
    decisions = plan(pool, config(users={"ann": Limits(max_running=1)}))
    assert admitted(decisions).keys() == {"b"}
    assert waits(decisions) == {"a": WaitReason.CAP}


def test_a_cap_holds_within_one_plan_too():
    jobs = [job("a1"), job("a2")]
    pool = snapshot([gpu()], [worker("w0"), worker("w1")], jobs)
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


def test_a_users_later_prompt_does_not_pass_the_earlier_one():
    pool = snapshot(
        [gpu(used=20)],
        [worker("w0", used=20, reserved=20, job="x"), worker("w1")],
        [job("big", need=9), job("small", need=1)],
    )
    decisions = plan(pool, config())
    assert admitted(decisions) == {}
    assert waits(decisions) == {"big": WaitReason.NO_HEADROOM, "small": WaitReason.FAIRNESS}


def test_no_worker_at_all_is_said_plainly():
    pool = snapshot([gpu()], [worker("w0", state=WorkerState.DOWN)], [job("j")])
    assert waits(plan(pool, config())) == {"j": WaitReason.NO_WORKER}


def test_a_job_passed_over_for_too_long_gets_a_gpu_kept_free():
    workers = [worker("w0", used=20, reserved=20, job="x"), worker("w1")]
    jobs = [
        job("big", "ann", need=9, submitted_ms=0, wait_reason=WaitReason.NO_HEADROOM),
        job("small", "bob", need=1, submitted_ms=99_000),
    ]
    pool = snapshot([gpu(used=20)], workers, jobs, now_ms=100_000)
    decisions = plan(pool, config(patience_ms=60_000))
    assert admitted(decisions) == {}
    assert waits(decisions) == {"big": WaitReason.NO_HEADROOM, "small": WaitReason.HELD_FOR_HEAD}
    patient = plan(pool, config(patience_ms=200_000))
    assert admitted(patient) == {"small": "w1"}


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


def test_a_job_last_told_that_all_workers_are_busy_gets_a_gpu_kept_free_too():
    workers = [worker("w0", used=20, reserved=20, job="x"), worker("w1")]
    jobs = [
        job("big", "ann", need=9, submitted_ms=0, wait_reason=WaitReason.NO_WORKER),
        job("small", "bob", need=1, submitted_ms=99_000),
    ]
    decisions = plan(snapshot([gpu(used=20)], workers, jobs, now_ms=100_000), config())
    assert admitted(decisions) == {}
    assert waits(decisions) == {"big": WaitReason.NO_HEADROOM, "small": WaitReason.HELD_FOR_HEAD}


def test_a_gpu_that_nobody_serves_is_not_the_one_kept_free():
    gpus = [gpu("busy", used=20), gpu("idle")]
    workers = [
        worker("w0", on="busy", used=20, reserved=20, job="x"),
        worker("w1", on="busy"),
        worker("w2", on="idle", state=WorkerState.DOWN),
    ]
    jobs = [
        job("big", "ann", need=9, submitted_ms=0, wait_reason=WaitReason.NO_HEADROOM),
        job("small", "bob", need=1, submitted_ms=99_000),
    ]
    decisions = plan(snapshot(gpus, workers, jobs, now_ms=100_000), config())
    assert waits(decisions)["small"] is WaitReason.HELD_FOR_HEAD


def test_in_a_pool_without_gpus_all_work_waits_for_the_busy_cpu_workers():
    (decision,) = plan(snapshot([], [worker("cpu", on="", job="x")], [job("j")]), config())
    assert decision == Wait(decision.job, WaitReason.NO_WORKER, "all workers are busy (1 of 1)")
