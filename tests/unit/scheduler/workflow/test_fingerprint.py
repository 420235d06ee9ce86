"""A fingerprint names the kind of a workflow, nothing of its contents."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scheduler.workflow.features import features
from scheduler.workflow.fingerprint import bucket, fingerprint, parents


def prompt(side: int = 512, ckpt: str = "a.safetensors", **sampler: Any) -> dict[str, Any]:
    inputs = {
        "seed": 1,
        "steps": 20,
        "sampler_name": "euler",
        "model": ["1", 0],
        "latent_image": ["2", 0],
    }
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ckpt}},
        "2": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": side, "height": side, "batch_size": 1},
        },
        "3": {"class_type": "KSampler", "inputs": inputs | sampler},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 2]}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
    }


def key(graph: dict[str, Any]) -> str:
    return fingerprint(features(graph))


def with_lora(graph: dict[str, Any]) -> dict[str, Any]:
    graph["6"] = {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"lora_name": "l.pt", "model": ["1", 0]},
    }
    graph["3"]["inputs"]["model"] = ["6", 0]
    return graph


def test_it_is_32_hex_digits_and_the_same_in_every_process() -> None:
    assert re.fullmatch("[0-9a-f]{32}", key(prompt()))
    assert key(prompt()) == "ebbd46d590c73ac73d5031528502aa2e", (
        "profiles of old keys are lost: raise _VERSION"
    )
    assert key(prompt()) == features(prompt()).fingerprint


@pytest.mark.parametrize(
    "same", [prompt(seed=7), prompt(side=520), dict(reversed(list(prompt().items())))]
)
def test_seed_small_changes_of_size_and_order_of_nodes_do_not_enter(same: dict[str, Any]) -> None:
    assert key(same) == key(prompt())


@pytest.mark.parametrize(
    "other",
    [
        prompt(side=640),
        prompt(ckpt="b.safetensors"),
        prompt(sampler_name="heun"),
        with_lora(prompt()),
    ],
)
def test_size_model_sampler_and_adapters_enter(other: dict[str, Any]) -> None:
    assert key(other) != key(prompt())


def test_parents_grow_coarser() -> None:
    own, other = features(prompt()), features(with_lora(prompt(sampler_name="heun")))
    assert fingerprint(own) != fingerprint(other)
    assert parents(own) == parents(other)
    larger = parents(features(prompt(side=1024)))
    assert larger[0] != parents(own)[0]
    assert larger[1:] == parents(own)[1:]
    other_model = parents(features(prompt(ckpt="b.safetensors")))
    assert other_model[:2] != parents(own)[:2]
    assert other_model[2] == parents(own)[2]


def test_buckets_are_quarters_of_a_doubling() -> None:
    assert bucket(2**20) == 80
    assert bucket(2**21) - bucket(2**20) == 4
    assert bucket(0) == -1
    assert bucket(1) == 0
