"""The estimator stands on what was measured."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.estimator import Workflows
from bench.measured import MeasuredRun, read_runs
from scheduler.estimate import CONTEXT_BYTES, Estimate, estimate
from scheduler.profile import (
    Profile,
    add_bytes,
    add_load,
    add_oom,
    add_seconds,
    add_small_oom,
    add_whole_oom,
)
from scheduler.workflow.features import Features, features

GIB = 1 << 30
MEASURED = read_runs(Path(__file__).parents[2] / "recordings" / "gpu" / "h200_peaks.json")
FLOWS = Workflows(MEASURED)
RUNS = MEASURED.runs
BY_RUN = {"argvalues": RUNS, "ids": [f"{n}-{run.case}" for n, run in enumerate(RUNS)]}
KIND = FLOWS.of(RUNS[0]).kind


def of(run: MeasuredRun) -> Features:
    return FLOWS.of(run).kind


def seen(*ratios: float, prior: float = 1.0) -> Profile:
    """A kind whose runs needed these shares of what was guessed."""
    profile = Profile()
    for ratio in ratios:
        profile = add_bytes(profile, ratio, 1, prior)
    return profile


def taking(*ratios: float) -> Profile:
    profile = Profile()
    for ratio in ratios:
        profile = add_seconds(profile, ratio, 1, 2.0)
    return profile


def after(own: Profile | None, *coarser: Profile | None, kind: Features = KIND) -> Estimate:
    parents = [*coarser, None, None, None][:3]
    return estimate(kind, [own, *parents])


COLD = estimate(KIND)


@pytest.mark.parametrize("run", **BY_RUN)
def test_a_cold_estimate_is_never_under_a_measured_peak_and_not_far_over(run: MeasuredRun) -> None:
    found = estimate(of(run))
    assert found.cold
    assert run.peak_bytes <= found.bytes <= 1.2 * run.peak_bytes


def test_cold_estimates_are_close_on_the_whole() -> None:
    over = [estimate(of(run)).bytes / run.peak_bytes - 1 for run in RUNS]
    assert statistics.median(over) <= 0.05


@pytest.mark.parametrize("run", **BY_RUN)
def test_sizes_that_nobody_told_are_taken_from_the_family(run: MeasuredRun) -> None:
    assert estimate(features(run.graph())).bytes == pytest.approx(
        estimate(of(run)).bytes, rel=0.001
    )


@pytest.mark.parametrize("run", [run for run in RUNS if run.seconds > 0.5])
def test_cold_seconds_are_of_the_measured_order(run: MeasuredRun) -> None:
    found = estimate(of(run))
    expected = found.seconds + (found.load_seconds if run.cold else 0.0)
    assert 0.25 < expected / run.seconds < 2.0


def test_without_a_gpu_nothing_is_booked() -> None:
    plain = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 4096, "height": 4096}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    kind = features(plain)
    found = estimate(kind)
    assert (found.bytes, found.curve, found.host_bytes, found.load_seconds) == (0, (), 0, 0.0)
    assert found.seconds == 1.0
    learned = after(taking(7.0), kind=kind)
    assert (learned.bytes, learned.seconds, learned.cold) == (0, 7.0, False)


def test_an_unknown_family_gets_a_margin() -> None:
    run = replace(RUNS[0], checkpoint="mine")
    kind = features(run.graph(), sizes={"checkpoints/mine.safetensors": 5_000_000_000})
    assert kind.family == "unknown"
    least = CONTEXT_BYTES + 5_000_000_000 + 512 * 512 * 2_880
    assert estimate(kind).bytes > 1.1 * least


def test_nodes_of_packs_that_nobody_knows_get_a_margin() -> None:
    graph = RUNS[0].graph()
    graph["7"]["inputs"]["extra"] = ["10", 0]
    graph["10"] = {"class_type": "Mystery", "inputs": {}}
    info: dict[str, Any] = {
        name: {"python_module": "nodes", "output_node": name == "PreviewImage"}
        for name in {node["class_type"] for node in graph.values()}
    }
    known = estimate(features(graph, info, sizes=MEASURED.sizes))
    info["Mystery"]["python_module"] = "custom_nodes.mystery"
    unknown = features(graph, info, sizes=MEASURED.sizes)
    assert unknown.unknown_nodes == 1
    assert estimate(unknown).bytes > 1.05 * known.bytes


def test_a_file_of_twice_the_precision_takes_what_it_becomes_on_the_device() -> None:
    twice = {"checkpoints/sd15.safetensors": 4_265_146_304}
    assert estimate(features(RUNS[0].graph(), sizes=twice)).bytes == pytest.approx(
        COLD.bytes, rel=0.001
    )


def test_more_pixels_or_another_model_need_more() -> None:
    wider = estimate(of(replace(RUNS[0], width=1024)))
    assert wider.bytes > COLD.bytes
    assert wider.seconds > COLD.seconds
    graph = RUNS[0].graph()
    graph["5"] = {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"lora_name": "l.pt", "model": ["1", 0]},
    }
    graph["7"]["inputs"]["model"] = ["5", 0]
    assert estimate(features(graph, sizes=MEASURED.sizes)).bytes > COLD.bytes


def test_the_host_holds_the_weights_and_the_process() -> None:
    size = MEASURED.sizes["checkpoints/sd15.safetensors"]
    assert COLD.host_bytes == size + (2 << 30)


def test_what_was_measured_is_believed_within_three_runs() -> None:
    for ratio in (0.5, 0.8, 0.97):
        found = after(seen(*[ratio] * 3))
        assert not found.cold
        assert ratio * COLD.bytes < found.bytes <= 1.045 * ratio * COLD.bytes


def test_doubt_after_one_run_ends_where_the_formula_is_surer() -> None:
    assert after(seen(1 / 1.1)).bytes == COLD.bytes
    assert after(seen(0.5)).bytes == pytest.approx(0.6 * COLD.bytes, rel=0.001)
    assert after(seen(2.0)).bytes == pytest.approx(2.04 * COLD.bytes, rel=0.001)


def test_running_out_of_memory_raises_the_next_estimate() -> None:
    assert after(add_oom(seen(0.9), 1.4, 2)).bytes >= 1.399 * COLD.bytes
    never_finished = add_oom(Profile(), 1.4, 2)
    assert after(never_finished).bytes >= 1.399 * COLD.bytes


def test_coarser_kinds_correct_both_ways_from_eight_runs_on() -> None:
    assert after(None, seen(*[0.5] * 7)).bytes == COLD.bytes
    low = after(None, seen(*[0.5] * 8))
    assert low.cold
    assert low.bytes == pytest.approx(0.525 * COLD.bytes, rel=0.001)
    assert after(None, None, seen(*[0.5] * 8)).bytes == low.bytes


def test_few_runs_of_coarser_kinds_correct_upwards_only() -> None:
    assert after(None, seen(1.5)).bytes == pytest.approx(1.5 * COLD.bytes, rel=0.001)
    assert after(None, None, None, seen(1.5)).bytes == pytest.approx(1.5 * COLD.bytes, rel=0.001)


def test_runs_of_everything_never_lower_an_estimate() -> None:
    assert after(None, None, None, seen(*[0.5] * 50)).bytes == COLD.bytes


def test_where_other_kinds_lie_close_below_the_formula_it_stays() -> None:
    assert after(None, seen(*[0.98] * 8)).bytes == COLD.bytes


def test_seconds_are_the_median_seen_and_late_ones_hold_their_share() -> None:
    found = after(taking(*[1.0] * 12, 1.2, 3.0))
    assert found.seconds == pytest.approx(COLD.guess.seconds, rel=0.01)
    assert found.late_seconds >= 3.0 * COLD.guess.seconds * 0.999
    assert COLD.late_seconds >= 2 * COLD.seconds * 0.999


def test_seconds_of_new_kinds_follow_those_of_coarser_ones() -> None:
    slow_gpu = after(None, None, None, taking(*[4.0] * 8))
    assert slow_gpu.seconds == pytest.approx(4 * COLD.seconds, rel=0.01)
    assert slow_gpu.late_seconds >= slow_gpu.seconds
    assert after(None, None, None, taking(*[4.0] * 7)).seconds == COLD.seconds


def test_loading_is_learned_apart() -> None:
    found = after(add_load(Profile(), 3.0, 1))
    assert found.load_seconds == pytest.approx(3 * COLD.load_seconds, rel=0.01)
    assert found.seconds == COLD.seconds


def test_a_floor_that_ran_out_of_memory_is_raised() -> None:
    run = next(run for run in RUNS if run.case == "sdxl-3840-2160-1-vae")
    cold = estimate(of(run))
    share = cold.floor_bytes / cold.guess.bytes
    found = after(add_small_oom(Profile(), share + 0.001), kind=of(run))
    assert found.floor_bytes > cold.floor_bytes


def test_two_failures_alone_on_a_whole_gpu_prove_that_it_does_not_fit_there() -> None:
    once = add_whole_oom(Profile(), 24 * GIB / COLD.guess.bytes)
    assert after(once).infeasible_bytes == 0
    twice = after(add_whole_oom(once, 24 * GIB / COLD.guess.bytes))
    assert twice.infeasible_bytes == pytest.approx(24 * GIB, rel=0.001)
