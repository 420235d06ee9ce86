"""Names of workflows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dashboard.insight.names import Names, name_of, stem


def body(graph: Any) -> bytes:
    return json.dumps({"prompt": graph}).encode()


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


VIDEO = {
    "1": node("UNETLoader", unet_name="wan/wan2.1_t2v.safetensors", weight_dtype="default"),
    "2": node("EmptyHunyuanLatentVideo", width=832, height=480, length=81, batch_size=1),
    "3": node("KSampler", model=["5", 0], latent_image=["2", 0], steps=4, sampler_name="uni_pc"),
    "5": node("LoraLoader", model=["1", 0], lora_name="a.safetensors"),
    "4": node("VAEDecode", samples=["3", 0], vae=["1", 0]),
}


@pytest.mark.parametrize(
    ("graph", "name"),
    [
        (VIDEO, "wan2.1_t2v · uni_pc · 832×480, 81 frames · +1 adapter"),
        (
            {"1": node("A"), "2": node("B", x=["1", 0]), "3": node("C", x=["2", 0])},
            "A · B · 1 more",
        ),
        ({"1": node("EmptyImage", width=64, height=32, batch_size=1)}, "64×32 · EmptyImage"),
    ],
)
def test_a_graph_is_called_by_its_model_its_sampler_and_its_size(graph: Any, name: str) -> None:
    assert name_of(body(graph), "") == name


@pytest.mark.parametrize(
    "prompt", [None, b"", b"{", b"[]", b'{"prompt": {}}', b'{"1": {"class_type": "X"}}']
)
def test_without_a_graph_it_is_called_by_its_model(prompt: bytes | None) -> None:
    assert name_of(prompt, "checkpoints/sdxl/base.safetensors") == "base"


def test_a_graph_of_nonsense_is_called_something() -> None:
    for graph in ({"1": 5}, {"1": node("KSampler", model=["1", 0])}, {"1": {"inputs": 3}}):
        assert isinstance(name_of(body(graph), "m.ckpt"), str)


def test_a_model_is_called_without_folder_and_ending() -> None:
    assert [stem(one) for one in ("a/b.safetensors", "c.pt", "d\\e.gguf", "f")] == [
        "b", "c", "e", "f",
    ]  # fmt: skip


class Store:
    """Counts what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def samples(self, kinds: list[str]) -> dict[str, tuple[bytes | None, str]]:
        self.asked += kinds
        return {kind: (None, f"checkpoints/{kind}.ckpt") for kind in kinds if kind != "gone"}

    async def models(self, kinds: list[str]) -> dict[str, str]:
        return {kind: f"m/{kind}.ckpt" for kind in kinds}


async def test_names_are_made_once() -> None:
    store = Store()
    names = Names(store)  # type: ignore[arg-type]
    assert await names.of(["a", "b", "a", ""]) == {"a": "a", "b": "b", "": ""}
    assert (await names.of(["b", "gone"]))["gone"] == "workflow gone"
    assert store.asked.count("b") == 1


async def test_of_very_many_most_are_called_by_their_models_at_first() -> None:
    store = Store()
    kinds = [f"k{number:03}" for number in range(150)]
    told = await Names(store).of(kinds)  # type: ignore[arg-type]
    assert (len(told), len(store.asked)) == (151, 60)
    assert told["k149"] == "k149"
