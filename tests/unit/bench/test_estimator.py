"""The estimator's benchmark: what must hold on measured runs, and on shapes it was not fitted to."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.estimator import Workflows, predict, report
from bench.measured import Measured, MeasuredRun, read_runs
from scheduler.guess import CONTEXT_BYTES

GIB = 1 << 30
GPU = Path(__file__).parents[2] / "recordings" / "gpu"
PEAKS = read_runs(GPU / "h200_peaks.json")
LIMITS = read_runs(GPU / "h200_limits.json")


def decoder_runs(names: dict[str, str], more_bytes: int) -> Measured:
    """Four runs of each recorded shape of the decoder, beside checkpoints of these names."""
    recorded = json.loads((GPU / "h200_vae_shapes.json").read_text())
    sizes = {name: size + more_bytes for name, size in recorded["file_bytes"].items()}
    runs: list[MeasuredRun] = []
    for shape in recorded["shapes"][::2]:  # all of them take as long four times over
        name, size = names[shape["checkpoint"]], sizes[shape["checkpoint"]]
        keys = ("width", "height", "batch", "steps")
        pixels = shape["width"] * shape["height"] * shape["batch"]
        run = MeasuredRun(
            case="-".join([name, *(str(shape[key]) for key in keys)]),
            checkpoint=name,
            **{key: shape[key] for key in keys},
            seconds=1.0,
            peak_bytes=0,
            cold=False,
            limit_bytes=None,
        )
        runs += [
            dataclasses.replace(run, peak_bytes=int(CONTEXT_BYTES + size + each * pixels))
            for each in shape["reserved_per_pixel"]
        ]
    files = {f"checkpoints/{names[name]}.safetensors": size for name, size in sizes.items()}
    return Measured(tuple(runs), files)


def must_hold(found: dict[str, Any]) -> None:
    assert found["learned"]["median_error"] <= 0.05
    assert found["learned"]["under_rate"] == 0
    assert found["cold"]["median_error"] <= 0.20
    assert found["cold"]["under_rate"] <= 0.10


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_what_must_hold_on_the_measured_workflows(runs: int) -> None:
    must_hold(report(PEAKS, runs))


@pytest.mark.parametrize("runs", [2, 3])
@pytest.mark.parametrize(
    ("names", "more_bytes"),
    [
        ({"sd15": "sd15", "sdxl": "sdxl"}, 0),
        ({"sd15": "mine", "sdxl": "other"}, 450_000_000),  # of a family that nobody knows
    ],
)
def test_it_holds_on_shapes_that_the_formulas_were_not_fitted_to(
    names: dict[str, str], more_bytes: int, runs: int
) -> None:
    found = report(decoder_runs(names, more_bytes), runs)
    must_hold(found)
    assert found["cold"]["under_rate"] == 0


def test_a_case_is_predicted_without_its_own_runs() -> None:
    case = PEAKS.runs[0].case
    huge = dataclasses.replace(PEAKS.runs[0], peak_bytes=90 * GIB)
    others = tuple(run for run in PEAKS.runs if run.case != case)
    changed = Measured((huge, *others), PEAKS.sizes)
    assert predict(Workflows(changed), case, 0) == predict(Workflows(PEAKS), case, 0)
    assert predict(Workflows(changed), case, 1).bytes > 90 * GIB


def test_what_is_true_is_the_largest_peak_with_the_whole_card() -> None:
    found = report(LIMITS, 3)
    row = next(r for r in found["cold"]["cases"] if r["case"] == "sdxl-1024-1024-4-12")
    assert row["actual_bytes"] == int(17.22 * GIB) + CONTEXT_BYTES
    assert (found["runs"], found["limited_runs"]) == (6, 42)
    must_hold(found)


def test_seconds_of_the_run_and_of_loading_are_told_apart() -> None:
    found = report(PEAKS, 3)
    assert found["learned"]["run_seconds"]["median_error"] <= 0.05
    assert found["learned"]["load_seconds"]["median_error"] <= 0.10
    assert found["cold"]["run_seconds"]["median_error"] <= 0.15
    assert found["cold"]["run_seconds"]["covered"] >= 0.9


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "estimator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=GPU.parents[2],
    )


def test_it_prints_json_or_a_table() -> None:
    done = bench("--profiles", str(GPU / "h200_peaks.json"), "--json")
    found = json.loads(done.stdout)
    for part in ("cold", "learned"):
        for row in found[part]["cases"]:
            assert {"case", "predicted_bytes", "actual_bytes"} <= set(row)
    table = bench("--profiles", str(GPU / "h200_peaks.json")).stdout
    assert "sdxl-3840-2160-1-vae" in table
    assert "learned: bytes off by" in table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "bench estimator:"),
        ("[]", 'list "runs"'),
        ('{"runs": [{"case": "a-b", "seconds": 1}]}', "run 0"),
        ('{"runs": []}', "no run without a limit"),
    ],
)
def test_a_file_that_is_none_is_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    done = bench("--profiles", str(file))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_tell_by_what_their_worker_held_whether_they_were_cold(tmp_path: Path) -> None:
    row = {
        "case": "sd15-512-512-1-20", "workflow": "txt2img", "checkpoint": "sd15", "width": 512,
        "height": 512, "batch": 1, "steps": 20, "run": "warm", "seconds": 2.0,
        "peak_reserved_bytes": 3 * GIB, "allocated_before_bytes": 34_603_008,
    }  # fmt: skip
    file = tmp_path / "x.json"
    meta = {"checkpoints": {"sd15": {"file_gib": 2.0}}}
    failed = row | {"status": "error"}
    limited = row | {"limit_gib": 2, "allocated_before_bytes": 2 * GIB}
    file.write_text(json.dumps({"meta": meta, "runs": [row, failed, limited]}))
    cold, told = read_runs(file).runs
    assert (cold.cold, cold.limit_bytes, cold.peak_bytes) == (True, None, 3 * GIB + CONTEXT_BYTES)
    assert (told.cold, told.limit_bytes) == (False, 2 * GIB)
    assert read_runs(file).sizes == {"checkpoints/sd15.safetensors": 2 * GIB}
