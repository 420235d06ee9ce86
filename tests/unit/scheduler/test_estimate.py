"""The estimator stands on what was measured."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from scheduler.estimate import CONTEXT_BYTES, Estimate, estimate
from scheduler.profile import Profile, observe
from scheduler.workflow.features import Features, features

GIB = 1 << 30
MEASURED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "recordings" / "gpu" / "h200_peaks.json").read_text()
)
SIZES = {f"checkpoints/{name}.safetensors": size for name, size in MEASURED["file_bytes"].items()}
RUNS: list[dict[str, Any]] = MEASURED["runs"]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def graph(
    checkpoint: str = "sd15", width: int = 512, height: int = 512, batch: int = 1, steps: int = 20
) -> dict[str, Any]:
    """The measured graphs: text to image, or with no steps a trip through the VAE."""
    size = {"width": width, "height": height, "batch_size": batch}
    common = {
        "1": node("CheckpointLoaderSimple", ckpt_name=f"{checkpoint}.safetensors"),
        "8": node("VAEDecode", samples=["7", 0], vae=["1", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="x"),
    }
    if steps == 0:
        return common | {
            "4": node("EmptyImage", **size, color=0),
            "7": node("VAEEncode", pixels=["4", 0], vae=["1", 2]),
        }
    sampler = {"steps": steps, "sampler_name": "euler", "model": ["1", 0], "latent_image": ["4", 0]}
    return common | {"4": node("EmptyLatentImage", **size), "7": node("KSampler", **sampler)}


def of_run(run: dict[str, Any]) -> Features:
    shape = {key: run[key] for key in ("checkpoint", "width", "height", "batch", "steps")}
    return features(graph(**shape), sizes=SIZES)


def needed(run: dict[str, Any]) -> int:
    return int(run["peak_reserved_bytes"]) + CONTEXT_BYTES


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['case']}-{run['run']}")
def test_a_cold_estimate_is_never_under_a_measured_peak_and_not_far_over(
    run: dict[str, Any],
) -> None:
    found = estimate(of_run(run))
    assert found.cold
    assert needed(run) <= found.bytes <= 1.2 * needed(run)


def test_cold_estimates_are_close_on_the_whole() -> None:
    over = [estimate(of_run(run)).bytes / needed(run) - 1 for run in RUNS]
    assert statistics.median(over) <= 0.05


@pytest.mark.parametrize(
    "run", [r for r in RUNS if r["run"] == "warm"], ids=lambda run: run["case"]
)
def test_sizes_that_nobody_told_are_taken_from_the_family(run: dict[str, Any]) -> None:
    shape = {key: run[key] for key in ("checkpoint", "width", "height", "batch", "steps")}
    found = estimate(features(graph(**shape)))
    assert needed(run) <= found.bytes <= 1.2 * needed(run)


def test_cold_seconds_are_of_the_measured_order() -> None:
    for run in RUNS:
        if run["run"] == "cold":
            assert 0.4 < estimate(of_run(run)).seconds / run["seconds"] < 2.5


def test_without_a_gpu_nothing_is_booked() -> None:
    plain = {
        "1": node("EmptyImage", width=4096, height=4096, batch_size=8, color=0),
        "2": node("SaveImage", images=["1", 0]),
    }
    assert estimate(features(plain), [None]) == Estimate(0, 1.0, cold=True)
    assert estimate(features(plain), [Profile(2, 5 * GIB, 7.0)]) == Estimate(0, 7.0, cold=False)


def test_an_unknown_family_gets_a_margin() -> None:
    sizes = {"checkpoints/mine.safetensors": 5_000_000_000}
    kind = features(graph("mine"), sizes=sizes)
    assert kind.family == "unknown"
    least = CONTEXT_BYTES + 5_000_000_000 + 512 * 512 * 2_880
    assert estimate(kind).bytes > 1.1 * least


def test_more_pixels_or_another_model_need_more() -> None:
    small, large = estimate(features(graph())), estimate(features(graph(width=1024)))
    assert large.bytes > small.bytes
    assert large.seconds > small.seconds
    lora = graph() | {"5": node("LoraLoaderModelOnly", lora_name="l.pt", model=["1", 0])}
    lora["7"]["inputs"]["model"] = ["5", 0]
    assert estimate(features(lora)).bytes > small.bytes


def test_what_was_measured_is_believed_within_three_runs() -> None:
    for run in RUNS:
        profile = None
        for _ in range(3):
            profile = observe(profile, needed(run), run["seconds"])
        found = estimate(of_run(run), [profile])
        assert not found.cold
        assert needed(run) < found.bytes <= 1.07 * needed(run)
        assert found.seconds == pytest.approx(run["seconds"])


def test_doubt_after_one_run_ends_where_the_cold_estimate_is_surer() -> None:
    kind = features(graph(), sizes=SIZES)
    cold = estimate(kind).bytes
    once = Profile(1, int(cold / 1.1), 1.0)
    assert estimate(kind, [once]).bytes == cold
    assert estimate(kind, [Profile(1, cold // 2, 1.0)]).bytes == int(cold // 2 * 1.2)
    assert estimate(kind, [Profile(1, cold * 2, 1.0)]).bytes == int(cold * 2 * 1.05)


def test_running_out_of_memory_raises_the_next_estimate() -> None:
    kind = features(graph(), sizes=SIZES)
    before = observe(None, 4 * GIB, 2.0)
    after = observe(before, 5 * GIB, 2.0, oom=True)
    assert estimate(kind, [after]).bytes >= 6 * GIB
    assert estimate(kind, [after]).bytes > estimate(kind, [before]).bytes
    never_finished = observe(None, 5 * GIB, 2.0, oom=True)
    assert estimate(kind, [never_finished]).bytes >= 6 * GIB


def test_a_profile_without_a_measured_peak_gives_only_the_time() -> None:
    kind = features(graph(), sizes=SIZES)
    found = estimate(kind, [observe(None, 0, 9.0)])
    assert found == Estimate(estimate(kind).bytes, 9.0, cold=True)


def test_a_coarser_kind_speaks_only_after_eight_runs() -> None:
    kind = features(graph(), sizes=SIZES)
    cold = estimate(kind)
    few, many = Profile(7, 30 * GIB, 50.0), Profile(8, 30 * GIB, 50.0)
    assert estimate(kind, [None, few]) == cold
    assert estimate(kind, [None, many]) == Estimate(30 * GIB, 50.0, cold=True)
    assert estimate(kind, [None, None, many]) == Estimate(cold.bytes, 50.0, cold=True)
    assert estimate(kind, [None, None, None, many]) == cold
