"""Host memory as the second resource of a plan."""

from __future__ import annotations

from scheduler.decisions import Admit, Release
from scheduler.plan_config import Limits
from scheduler.policy import plan
from scheduler.states import Agent, WaitReason
from tests.pools import GIB, config, gpu, job, running, snapshot, worker


def host(available: float, total: float = 64) -> Agent:
    return Agent(
        id="host",
        url="",
        version="",
        heartbeat_ms=0,
        host_total_bytes=int(total * GIB),
        host_available_bytes=int(available * GIB),
    )


def decide(agent: Agent, needs: float, **changes):
    pool = snapshot(
        [gpu("g0"), gpu("g1", used=2)],
        [worker("w0", on="g0"), worker("w1", on="g1", used=2, job="x", **changes)],
        [job("j", host_bytes=int(needs * GIB))],
        active=[running("x", "w1", gpu="g1", host_bytes=10 * GIB)],
        agents=[agent],
    )
    return plan(pool, pool.now_ms, config())


def starts(made) -> bool:
    return any(isinstance(d, Admit) for d in made.decisions)


def test_a_job_waits_for_host_memory_and_says_how_much_is_missing() -> None:
    made = decide(host(available=20), needs=12)
    assert not starts(made)
    wait = made.blocked["ann"]
    assert wait.reason is WaitReason.NO_HOST_RAM
    # 20 − 3.2 safety − 10 promised to the running job = 6.8; 12 are needed
    assert "5.2 GiB" in wait.detail
    assert wait.blocker == "host"


def test_what_a_running_job_has_taken_already_is_not_counted_twice() -> None:
    assert starts(decide(host(available=20), needs=12, host_used_bytes=10 * GIB))


def test_a_machine_that_tells_nothing_always_fits() -> None:
    assert starts(decide(host(available=0, total=0), needs=500))


def test_no_gpu_memory_is_released_for_a_job_that_lacks_host_memory() -> None:
    made = decide(host(available=20), needs=12)
    assert not any(isinstance(d, Release) for d in made.decisions)


def test_where_nothing_else_runs_no_estimate_keeps_a_job_waiting() -> None:
    pool = snapshot([gpu()], [worker()], [job("j", host_bytes=500 * GIB)], agents=[host(20)])
    assert starts(plan(pool, pool.now_ms, config()))


def idle_hoarder(**rules):
    pool = snapshot(
        [gpu("g0"), gpu("g1", used=2)],
        [worker("w0", on="g0"), worker("w1", on="g1", used=2, host_used_bytes=20 * GIB)],
        [job("j", host_bytes=int(12 * GIB))],
        agents=[host(available=8)],
    )
    # the hoarder itself has what the job adds; only w0 may be used
    made = plan(pool, pool.now_ms, config(users={"ann": Limits(workers=("w0",))}, **rules))
    return [d.worker.id for d in made.decisions if isinstance(d, Release)]


def test_an_idle_worker_gives_its_host_memory_back_for_a_job_that_lacks_it() -> None:
    assert idle_hoarder() == ["w1"]


def test_a_worker_that_kept_its_host_memory_after_a_release_is_not_asked_again() -> None:
    assert idle_hoarder(host_floors={"w1": 20 * GIB}) == []
