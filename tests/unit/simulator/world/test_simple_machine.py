from __future__ import annotations

import pytest

from scheduler.ledger_values import Ending, Grant
from scheduler.states import WorkerState
from simulator.world.machine import Ended, Released, Work
from simulator.world.nodes import Node, alike
from simulator.world.simple_machine import CONTEXT_BYTES, SimpleMachine

GIB = 2**30
GRANT = Grant(bytes=0, capacity_bytes=0)


def work(job: str = "j", model: str = "a", gib: int = 4, peak_gib: int = 8) -> Work:
    return Work(
        job=job,
        attempt=1,
        kind="k",
        models=(model,),
        model_bytes=(gib * GIB,),
        peak_bytes=peak_gib * GIB,
        run_seconds=10.0,
        load_seconds=20.0,
    )


def one_gpu(vram_gib: int = 44, workers: int = 1) -> SimpleMachine:
    return SimpleMachine(alike(1, vram_gib * GIB), workers)


def run_alone(machine: SimpleMachine, now: float, what: Work, worker: str = "n0000-0") -> Ended:
    machine.start(now, worker, what, GRANT)
    at = machine.next_event()
    assert at is not None
    (ended,) = machine.advance(at)
    assert isinstance(ended, Ended)
    return ended


def models(machine: SimpleMachine) -> dict[str, tuple[str, ...]]:
    return {worker.id: worker.models for r in machine.reports() for worker in r.workers}


def test_a_first_run_loads_its_model_and_a_second_one_does_not() -> None:
    machine = one_gpu()
    first, second = run_alone(machine, 0.0, work()), run_alone(machine, 30.0, work())
    assert (first.seconds, first.load_seconds, first.warm) == (30.0, 20.0, False)
    assert (second.seconds, second.load_seconds, second.warm) == (10.0, 0.0, True)


def test_the_model_used_longest_ago_is_dropped_when_room_is_needed() -> None:
    machine = one_gpu(vram_gib=24)
    for now, model in enumerate(("a", "b", "a", "c")):
        run_alone(machine, 100.0 * now, work(model=model, gib=8, peak_gib=12))
    assert models(machine) == {"n0000-0": ("c", "a")}


def test_models_of_the_running_job_stay_whatever_room_there_is() -> None:
    machine = one_gpu(vram_gib=10)
    run_alone(machine, 0.0, work(gib=8, peak_gib=10))
    assert models(machine) == {"n0000-0": ("a",)}
    assert machine.overcommit_bytes <= 0


def test_what_a_neighbour_holds_is_room_that_a_worker_has_not() -> None:
    machine = one_gpu(vram_gib=24, workers=2)
    run_alone(machine, 0.0, work(model="x", gib=6), "n0000-1")
    for model in ("a", "b"):
        run_alone(machine, 50.0, work(model=model, gib=8, peak_gib=10))
    assert models(machine) == {"n0000-0": ("b",), "n0000-1": ("x",)}


def test_memory_that_is_taken_twice_is_noticed() -> None:
    machine = one_gpu(vram_gib=12, workers=2)
    machine.start(0.0, "n0000-0", work(), GRANT)
    machine.start(0.0, "n0000-1", work(), GRANT)
    assert machine.overcommit_bytes == 4 * GIB


def test_a_job_that_is_promised_less_keeps_within_it_and_takes_longer() -> None:
    machine = one_gpu(vram_gib=12)
    machine.start(0.0, "n0000-0", work(peak_gib=8), Grant(bytes=4 * GIB, capacity_bytes=4 * GIB))
    machine.reports()
    at = machine.next_event()
    assert at == pytest.approx(20.0 + 10.0 * 8 / 4)
    (ended,) = machine.advance(at)
    assert isinstance(ended, Ended)
    assert ended.peak_bytes == 4 * GIB


def test_a_release_empties_a_worker_and_takes_its_time() -> None:
    machine = one_gpu()
    run_alone(machine, 0.0, work())
    machine.release(100.0, "n0000-0")
    (report,) = machine.reports()
    assert report.workers[0].state is WorkerState.RELEASING
    at = machine.next_event()
    assert at is not None
    assert at > 100.0
    assert machine.advance(at) == [Released("n0000-0", CONTEXT_BYTES)]
    assert models(machine) == {"n0000-0": ()}


def test_an_interrupted_attempt_is_returned_at_once_and_ends_once() -> None:
    machine = one_gpu()
    machine.start(0.0, "n0000-0", work(), GRANT)
    machine.interrupt(5.0, "n0000-0")
    (ended,) = machine.advance(5.0)
    assert isinstance(ended, Ended)
    assert (ended.ending, ended.seconds) == (Ending.RETURNED, 5.0)
    assert machine.next_event() is None


def test_attempts_of_a_lost_host_never_end_and_it_comes_back_empty() -> None:
    machine = one_gpu()
    machine.start(0.0, "n0000-0", work(), GRANT)
    machine.lose("n0000")
    assert machine.next_event() is None
    assert [r.workers[0].state for r in machine.reports()] == [WorkerState.DOWN]
    machine.recover("n0000")
    (report,) = machine.reports()
    assert report.workers[0].state is WorkerState.READY
    assert report.workers[0].models == ()


def test_only_hosts_whose_figures_changed_report() -> None:
    machine = SimpleMachine(alike(3, 24 * GIB), 1)
    assert [r.agent.id for r in machine.reports()] == ["n0000", "n0001", "n0002"]
    machine.start(0.0, "n0001-0", work(), GRANT)
    assert [r.agent.id for r in machine.reports()] == ["n0001"]
    assert machine.reports() == []


def test_foreign_memory_is_reported_and_shrinks_what_stays_loaded() -> None:
    machine = one_gpu(vram_gib=24)
    run_alone(machine, 0.0, work(model="a", gib=8, peak_gib=10))
    machine.occupy("n0000-gpu0", 10 * GIB)
    (report,) = machine.reports()
    assert report.gpus[0].foreign_bytes == 10 * GIB
    run_alone(machine, 50.0, work(model="b", gib=8, peak_gib=10))
    assert models(machine) == {"n0000-0": ("b",)}


def test_a_host_of_two_gpus_reports_both_with_their_workers() -> None:
    node = Node(id="h", model="A100", gpus=("h-gpu0", "h-gpu1"), vram_bytes=80 * GIB)
    (report,) = SimpleMachine([node], 2).reports()
    assert [(worker.id, worker.gpu) for worker in report.workers] == [
        ("h-0", "h-gpu0"),
        ("h-1", "h-gpu0"),
        ("h-2", "h-gpu1"),
        ("h-3", "h-gpu1"),
    ]
    assert [gpu.index for gpu in report.gpus] == [0, 1]


@pytest.mark.parametrize("loaded", [(), ("a",), ("a", "b")])
def test_a_job_of_two_models_loads_what_is_missing_by_its_bytes(loaded: tuple[str, ...]) -> None:
    machine = one_gpu()
    for model, gib in (("a", 3), ("b", 1)):
        if model in loaded:
            run_alone(machine, 0.0, work(model=model, gib=gib))
    both = Work(
        job="j",
        attempt=1,
        kind="k",
        models=("a", "b"),
        model_bytes=(3 * GIB, 1 * GIB),
        peak_bytes=8 * GIB,
        run_seconds=10.0,
        load_seconds=8.0,
    )
    missing = {(): 8.0, ("a",): 2.0, ("a", "b"): 0.0}[loaded]
    assert run_alone(machine, 100.0, both).load_seconds == pytest.approx(missing)
