"""The pool's figures: what is not known is left out, and what is told adds up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dashboard.metrics.pool import Moment, families
from dashboard.sample import Held
from scheduler.placement import Safety
from scheduler.states import Agent, GpuState, Vitals, WaitReason, WorkerState
from tests.pools import GIB, gpu, job, running, snapshot, worker

NOW_MS = 1_000_000


def moment(*args: Any, **changes: Any) -> Moment:
    options = {key: changes.pop(key) for key in ("active", "agents", "running") if key in changes}
    values: dict[str, Any] = {
        "pool": "p",
        "snapshot": snapshot(*args, **options),
        "held": (),
        "silent_ms": 10_000,
        "safety": Safety(0.0, 2 * GIB),
    }
    return Moment(**(values | changes))


def told(of: Moment) -> dict[tuple[str, ...], float]:
    """By name and the values of its labels, the pool's left out."""
    return {
        (sample.name.removeprefix("vramgate_"), *list(sample.labels.values())[1:]): sample.value
        for family in families(of)
        for sample in family.samples
    }


def test_a_gpu_whose_agent_is_silent_is_down_and_tells_no_figures() -> None:
    silent = gpu("g1", heartbeat_ms=NOW_MS - 20_000)
    found = told(moment([gpu("g0"), silent], [worker("w0", "g0"), worker("w1", "g1")], []))
    assert (found["gpu_up", "g0", "host"], found["gpu_up", "g1", "host"]) == (1, 0)
    about = {key for key in found if "g1" in key}
    assert {key[0] for key in about} == {"gpu_up", "gpu_info", "gpu_memory_size_bytes", "workers"}


def test_a_gpu_that_is_suspect_is_down_but_tells_what_it_knows() -> None:
    found = told(moment([gpu("g0", state=GpuState.SUSPECT)], [], []))
    assert found["gpu_up", "g0", "host"] == 0
    assert found["gpu_memory_bytes", "g0", "host", "free"] == 24 * GIB


def test_what_the_driver_does_not_tell_is_no_zero() -> None:
    known = gpu("g1", vitals=Vitals(temperature_c=60, power_mw=250_000, clock_mhz=1980))
    found = told(moment([gpu("g0"), known], [], []))
    assert found["gpu_temperature_celsius", "g1", "host"] == 60
    assert found["gpu_power_watts", "g1", "host"] == 250
    assert found["gpu_clock_hertz", "g1", "host"] == 1.98e9
    assert not [key for key in found if key[0] == "gpu_temperature_celsius" and "g0" in key]


def test_memory_adds_up_to_the_size_and_headroom_leaves_the_safety() -> None:
    card = gpu("g0", used=10, foreign=2)
    workers = [
        worker("w0", "g0", used=3, job="j", reserved=6),
        worker("w1", "g0", used=4),
    ]
    found = told(moment([card], workers, []))
    parts = {k: found["gpu_memory_bytes", "g0", "host", k] / GIB for k in
             ("foreign", "resident", "reserved", "free")}  # fmt: skip
    assert parts == {"foreign": 2, "resident": 4, "reserved": 6, "free": 12}
    # 24, less 2 of others, 2 of safety, 6 promised and 4 that stay
    assert found["gpu_headroom_bytes", "g0", "host"] == 10 * GIB


def test_workers_are_counted_by_what_they_do() -> None:
    workers = [
        worker("w0", job="j"),
        worker("w1"),
        worker("w2", state=WorkerState.RELEASING),
        worker("w3", state=WorkerState.DOWN),
        worker("w4", heartbeat_ms=NOW_MS - 60_000, job="k"),
    ]
    found = told(moment([gpu()], workers, []))
    counts = {state: found["workers", "gpu0", "host", state] for state in
              ("busy", "idle", "releasing", "down")}  # fmt: skip
    assert counts == {"busy": 1, "idle": 1, "releasing": 1, "down": 2}


def test_every_waiting_job_has_one_reason() -> None:
    waits = [
        job("a", wait_reason=WaitReason.NO_HEADROOM, submitted_ms=NOW_MS - 30_000),
        job("b", start_p90_ms=NOW_MS + 90_000),
    ]
    shot = snapshot([gpu()], [], waits, active=[running("r")])
    more = replace(shot, backlogs=tuple(replace(one, queued=5) for one in shot.backlogs))
    found = told(moment([], [], [], snapshot=more, held=[Held("bob", 3, ())]))
    assert found["jobs", "queued"] == 5
    assert found["jobs", "held"] == 3
    assert found["jobs", "running"] == 1
    reasons = {key[1]: value for key, value in found.items() if key[0] == "jobs_waiting" and value}
    assert reasons == {"no_headroom": 1, "unexplained": 1, "behind_own": 3, "held": 3}
    assert sum(reasons.values()) == found["jobs", "queued"] + found["jobs", "held"]
    assert found["queue_oldest_seconds", "interactive"] == 30
    assert found["queue_oldest_seconds", "batch"] == 0
    assert found["queue_forecast_seconds",] == 90


def test_only_users_that_are_configured_are_told_apart() -> None:
    waits = [job("a", "ann"), job("b", "bob")]
    found = told(moment([], [], waits, users=frozenset({"ann", "zoe"})))
    assert found["user_jobs", "ann", "queued"] == 1
    assert found["user_jobs", "zoe", "queued"] == 0
    assert not [key for key in found if "bob" in key]
    assert not [key for key in told(moment([], [], waits)) if key[0] == "user_jobs"]


def test_main_memory_is_told_where_it_is_measured() -> None:
    agents = [
        Agent(id="a", url="", version="1", heartbeat_ms=NOW_MS, host_total_bytes=8, host_available_bytes=3),
        Agent(id="b", url="", version="1", heartbeat_ms=NOW_MS),
        Agent(id="c", url="", version="1", heartbeat_ms=0, host_total_bytes=8),
    ]  # fmt: skip
    found = told(moment([], [], [], agents=agents))
    assert {key[1] for key in found if key[0] == "host_memory_bytes"} == {"a"}
    assert [found["agent_up", name] for name in "abc"] == [1, 1, 0]
