from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simulator.world.faults import FaultSpec
from simulator.world.parallel import run_all
from simulator.world.policies import policies
from simulator.world.run import Row, Setup, Simulation, summary
from simulator.world.traces import TraceError
from tests.worlds import GIB, write_trace


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(trace=write_trace(tmp_path), gpus=4, vram_bytes=44 * GIB, load=0.7)


def test_load_times_beside_the_trace_are_found(setup: Setup) -> None:
    assert Simulation.prepare(setup).load_times == [3.0, 20.0]


def test_a_trace_without_load_times_beside_it_draws_built_in_ones(setup: Setup) -> None:
    (setup.trace.parent / "basemodel_load.csv").unlink()
    simulation = Simulation.prepare(setup)
    assert simulation.load_times == []
    assert simulation.run("fifo", 0).figures.load_share > 0


def test_load_times_that_are_named_must_be_there(setup: Setup) -> None:
    with pytest.raises(TraceError, match=r"nowhere\.csv"):
        Simulation.prepare(replace(setup, load_times=setup.trace.parent / "nowhere.csv"))


@pytest.mark.parametrize("policy", [*policies()])
def test_every_policy_serves_every_job_of_a_trace(setup: Setup, policy: str) -> None:
    simulation = Simulation.prepare(setup)
    row = simulation.run(policy, 0)
    assert row.figures.jobs == simulation.jobs() == 4 * 54
    assert row.figures.failed == row.refused == 0
    assert row.overcommit_bytes <= 0


def test_every_policy_sees_the_same_jobs_of_a_seed(setup: Setup) -> None:
    simulation = Simulation.prepare(setup)
    rows = [simulation.run(policy, 3) for policy in ("fifo", "vramgate")]
    work = [
        row.figures.busy_share * row.figures.makespan_s * (1 - row.figures.load_share)
        for row in rows
    ]
    assert work[0] == pytest.approx(work[1])


def test_a_run_in_another_process_shows_the_same(setup: Setup) -> None:
    simulation = Simulation.prepare(setup)
    tasks = [("fifo", 0), ("fifo", 1)]
    told: list[int] = []
    here = {row.seed: row.figures for row in run_all(simulation, tasks, 1)}
    there = {row.seed: row.figures for row in run_all(simulation, tasks, 2, told.append)}
    assert here == there
    assert sum(told) <= 2 * simulation.jobs()


def test_all_jobs_end_though_hosts_are_lost_memory_is_taken_and_estimates_lie(
    setup: Setup,
) -> None:
    faults = FaultSpec(lie=0.25, loss=30, foreign=60)
    for policy in ("vramgate", "round-robin"):
        row = Simulation.prepare(replace(setup, faults=faults)).run(policy, 0)
        assert row.figures.jobs == 4 * 54
        assert row.figures.waste_share > 0


def test_several_workers_share_gpus_within_their_memory(setup: Setup) -> None:
    row = Simulation.prepare(replace(setup, workers_per_gpu=3)).run("vramgate", 0)
    assert row.figures.jobs == 4 * 54
    assert row.overcommit_bytes <= 0


def test_a_summary_has_means_deviations_and_the_longest_wait(setup: Setup) -> None:
    simulation = Simulation.prepare(setup)
    rows: list[Row] = [simulation.run("fifo", seed) for seed in range(3)]
    whole = summary(rows)
    waits = [row.figures.mean_wait_s for row in rows]
    assert whole["mean_wait_s"] == pytest.approx(sum(waits) / 3)
    assert whole["mean_wait_s_sd"] > 0
    assert whole["worst_wait_s"] == max(row.figures.max_wait_s for row in rows)
    assert whole["jobs"] == simulation.jobs()
