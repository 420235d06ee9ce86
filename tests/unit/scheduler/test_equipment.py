"""A prompt goes only where its nodes and models are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scheduler.catalogue import Catalogue, describe, requires
from scheduler.decisions import Admit, Preempt, Wait
from scheduler.explanation import explain
from scheduler.plan_config import Preemption
from scheduler.policy import plan
from scheduler.states import Job, Lane, Snapshot, WaitReason, Worker, WorkerState
from scheduler.trial import Fit, places
from tests.pools import GIB, config, gpu, job, running, snapshot, worker


def info(*models: str) -> dict[str, Any]:
    return {
        "Loader": {"input": {"required": {"name": [list(models), {}]}}, "output_node": True},
    }


CATALOGUES = {
    name: Catalogue(describe(info(*models))[1])
    for name, models in {"both": ("a", "b"), "only-a": ("a",), "only-b": ("b",)}.items()
}


def asking(name: str, model: str, user: str = "ann", **changes: Any) -> Job:
    """A job that needs this model."""
    graph = {"1": {"class_type": "Loader", "inputs": {"name": model}}}
    named = requires(graph, info("a", "b"), ["1"])
    return job(name, user, requires=named, models=(f"checkpoints/{model}",), **changes)


def pool(workers: Sequence[Worker], jobs: Sequence[Job], **more: Any) -> Snapshot:
    gpus = more.pop("gpus", [gpu(f"g{n}") for n in range(len(workers))])
    return replace(snapshot(gpus, workers, jobs, **more), catalogues=CATALOGUES)


def admitted(found: Snapshot, **rules: Any) -> dict[str, str]:
    made = plan(found, found.now_ms, config(**rules))
    return {d.job.id: d.worker.id for d in made.decisions if isinstance(d, Admit)}


def told(found: Snapshot) -> dict[str, Wait]:
    made = plan(found, found.now_ms, config())
    return {wait.job.id: wait for wait in explain(found, made)}


TWO = (worker("w0", on="g0", catalogue="only-a"), worker("w1", on="g1", catalogue="both"))


def test_it_starts_on_the_worker_that_has_the_model() -> None:
    assert admitted(pool(TWO, [asking("j", "b")])) == {"j": "w1"}


def test_a_worker_that_has_not_told_what_it_offers_takes_it() -> None:
    assert admitted(pool([worker("w0", on="g0")], [asking("j", "b")])) == {"j": "w0"}


def test_a_job_that_asks_for_nothing_goes_anywhere() -> None:
    assert admitted(pool(TWO[:1], [job("j")])) == {"j": "w0"}


def test_it_waits_for_a_busy_worker_that_has_the_model_while_others_go_on() -> None:
    busy = (TWO[0], replace(TWO[1], job="r", reserved_bytes=GIB, used_bytes=GIB))
    jobs = [asking("first", "b"), asking("second", "a")]
    found = pool(busy, jobs, active=[running("r", "w1", gpu="g1")])
    assert admitted(found) == {"second": "w0"}
    assert told(found)["first"].reason is WaitReason.NO_WORKER
    assert "have its models" in told(found)["first"].detail


def test_one_with_the_same_main_model_is_not_held_up_by_one_that_needs_more() -> None:
    busy = (TWO[0], replace(TWO[1], job="r", reserved_bytes=GIB, used_bytes=GIB))
    first = replace(asking("first", "b"), models=("checkpoints/a",))
    found = pool(busy, [first, asking("second", "a")], active=[running("r", "w1", gpu="g1")])
    assert admitted(found) == {"second": "w0"}


def test_it_says_which_model_is_missing_and_who_has_it() -> None:
    down = (TWO[0], replace(TWO[1], state=WorkerState.DOWN))
    found = pool(down, [asking("j", "b"), asking("k", "a")])
    assert admitted(found) == {"k": "w0"}
    wait = told(found)["j"]
    assert wait.reason is WaitReason.MODEL_MISSING
    assert (wait.blocker, wait.detail) == ("w1", "needs b: only w1 can run it, and is not up")


def test_without_any_worker_that_has_it_the_admins_are_named() -> None:
    wait = told(pool(TWO[:1], [asking("j", "b")]))["j"]
    assert wait.reason is WaitReason.MODEL_MISSING
    assert wait.detail == "needs b; no worker has all that this prompt names, the admins can help"


def test_many_that_nobody_can_run_hold_up_nobody_of_the_same_user() -> None:
    hopeless = [
        replace(asking(f"h{n}", "b", submitted_ms=1), models=(f"checkpoints/{n}",))
        for n in range(6)
    ]
    assert admitted(pool(TWO[:1], [*hopeless, asking("j", "a")])) == {"j": "w0"}


def test_a_worker_that_joins_and_has_it_takes_it() -> None:
    waiting = pool(TWO[:1], [asking("j", "b")])
    assert admitted(waiting) == {}
    assert admitted(pool(TWO, [asking("j", "b")])) == {"j": "w1"}


def test_one_that_only_a_small_gpu_could_run_gets_that_whole() -> None:
    found = pool(TWO, [asking("j", "b", need=20)], gpus=[gpu("g0", 48), gpu("g1", 12)])
    assert admitted(found) == {"j": "w1"}


def test_a_job_is_interrupted_only_where_that_helps() -> None:
    batch = [
        running(f"r{n}", f"w{n}", gpu=f"g{n}", lane=Lane.BATCH, seconds=100.0,
                reserved_bytes=6 * GIB, began=1_000_000 - 1000 * (5 - n))
        for n in range(2)
    ]  # fmt: skip
    busy = [
        replace(one, job=f"r{n}", reserved_bytes=6 * GIB, used_bytes=6 * GIB)
        for n, one in enumerate(TWO)
    ]
    found = pool(busy, [asking("j", "b")], active=batch)
    made = plan(found, found.now_ms, config(preemption=Preemption()))
    assert [d.job.id for d in made.decisions if isinstance(d, Preempt)] == ["r1"]


def test_a_trial_tells_where_the_models_are_not() -> None:
    found = pool(TWO, [])
    fits = {one.id: one.fit for one in places(asking("j", "b"), found, config())}
    assert fits == {"g0": Fit.LACKING, "g1": Fit.NOW}
