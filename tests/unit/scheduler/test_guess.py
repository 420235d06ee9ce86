"""The formulas are ceilings of what was measured, over many shapes."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from bench.measured import MeasuredRun
from scheduler.guess import CONTEXT_BYTES, guess, parts_of, weight_bytes
from scheduler.workflow.features import Features, features

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "recordings" / "gpu" / "h200_vae_shapes.json").read_text()
)
SHAPES: list[dict[str, Any]] = RECORDED["shapes"]
SIZES = {f"checkpoints/{name}.safetensors": size for name, size in RECORDED["file_bytes"].items()}
#: torch held so much beyond the checkpoint's file in ComfyUI when models were loaded
BESIDE_FILE = 35_467_494


def a_run(shape: dict[str, Any]) -> MeasuredRun:
    wanted = {key: shape[key] for key in ("checkpoint", "width", "height", "batch", "steps")}
    return MeasuredRun(case="x", seconds=1, peak_bytes=0, cold=False, limit_bytes=None, **wanted)


def of(shape: dict[str, Any]) -> Features:
    return features(a_run(shape).graph(), sizes=SIZES)


def needed(shape: dict[str, Any]) -> int:
    pixels = shape["width"] * shape["height"] * shape["batch"]
    models = RECORDED["file_bytes"][shape["checkpoint"]] + BESIDE_FILE
    return int(CONTEXT_BYTES + models + max(shape["reserved_per_pixel"]) * pixels)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_needs_more_than_the_formula_and_none_much_less(shape: dict[str, Any]) -> None:
    assert needed(shape) <= guess(of(shape)).bytes <= 1.1 * needed(shape)


def test_over_all_shapes_the_formula_is_close() -> None:
    over = [guess(of(shape)).bytes / needed(shape) - 1 for shape in SHAPES]
    assert statistics.median(over) <= 0.03


def test_an_upscale_model_takes_its_own_work() -> None:
    graph = {
        "1": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "4x.pth"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "3": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"image": ["2", 0], "upscale_model": ["1", 0]},
        },
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
    }
    assert guess(features(graph)).bytes > CONTEXT_BYTES + 2_000_000_000


def test_each_unknown_size_is_replaced_by_the_usual_one() -> None:
    kind = of(SHAPES[0])
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "2": {
            "class_type": "LoraLoader",
            "inputs": {"model": ["1", 0], "clip": ["1", 1], "lora_name": "a.safetensors"},
        },
    }
    assert weight_bytes(features(graph)) == weight_bytes(kind) + 230_000_000


def test_a_tiled_decode_works_on_a_tile() -> None:
    shape = SHAPES[0] | {"width": 4096, "height": 4096}
    whole = of(shape)
    graph = a_run(shape).graph()
    graph["8"]["class_type"] = "VAEDecodeTiled"
    graph["8"]["inputs"]["tile_size"] = 512
    tiled = features(graph, sizes=SIZES)
    assert parts_of(tiled).vae_bytes < parts_of(whole).vae_bytes / 20


def test_the_parts_add_up() -> None:
    parts = parts_of(of(SHAPES[0]))
    found = guess(of(SHAPES[0]))
    assert found.seconds == parts.seconds
    assert found.bytes == parts.footprint(parts.weight_bytes + parts.work_bytes)
    assert found.load_seconds > 0


def test_more_steps_take_longer_and_need_no_more() -> None:
    few, many = (guess(of(SHAPES[0] | {"steps": steps})) for steps in (10, 40))
    assert many.seconds > 2 * few.seconds
    assert many.bytes == few.bytes


def test_a_sampler_of_second_order_asks_the_model_twice() -> None:
    graph = a_run(SHAPES[0]).graph()
    graph["7"]["inputs"]["sampler_name"] = "heun"
    twice = parts_of(features(graph, sizes=SIZES))
    assert twice.sample_seconds == 2 * parts_of(of(SHAPES[0])).sample_seconds
