"""The jobs of the mix as graphs for a real ComfyUI, by the names of ``simulator.mix.cases``."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from simulator.mix.cases import load_facts

#: case of the mix → what stands for it where there is no GPU: the smallest work that takes
#: the same way
_REHEARSAL: Final = {"sdxl-1024-1024-4-10": "sd15-small-64-64-1-1"}
#: any other case: a picture without a model
_PLAIN: Final = "plain"

_SAMPLING: Final = ("model", "good", "bad", "empty", "sample", "decode", "show")


@dataclass(frozen=True, slots=True)
class Case:
    """One workflow: text to image with this checkpoint, in this size."""

    name: str
    #: file name without its ending
    checkpoint: str
    width: int
    height: int
    batch: int
    steps: int


def case(name: str) -> Case:
    """``sdxl-1024-1024-4-10``: checkpoint, width, height, batch, steps.

    Raises:
        ValueError: it is no such name.
    """
    checkpoint, *shape = name.rsplit("-", 4)
    width, height, batch, steps = map(int, shape)
    return Case(name, checkpoint, width, height, batch, steps)


def mix(order: int, *, times: int = 1, rehearsal: bool = False) -> list[str]:
    """The 36 jobs, so many times through.

    Args:
        order: 0: as they were recorded; n: the same jobs, shuffled with seed n.
        times: how often.
        rehearsal: small stand-ins instead, for a machine without a GPU.
    """
    names = list(load_facts().order)
    if rehearsal:
        names = [_REHEARSAL.get(name) or _plain(name) for name in names]
    if order:
        random.Random(order).shuffle(names)
    return names * times


def graph(name: str, seed: int) -> dict[str, Any]:
    """The workflow in API format; no two seeds share any work but the loaded checkpoint."""
    shape = case(name)
    if shape.checkpoint == _PLAIN:
        size = {"width": shape.width, "height": shape.height, "batch_size": shape.batch}
        picture = _node("EmptyImage", color=seed % 2**24, **size)
        return {"draw": picture, "show": _node("PreviewImage", images=["draw", 0])}
    model, good, bad, empty, sample, decode, show = _SAMPLING
    return {
        model: _node("CheckpointLoaderSimple", ckpt_name=f"{shape.checkpoint}.safetensors"),
        good: _node("CLIPTextEncode", text=f"a gate, number {seed}", clip=[model, 1]),
        bad: _node("CLIPTextEncode", text="blurred", clip=[model, 1]),
        empty: _node(
            "EmptyLatentImage", width=shape.width, height=shape.height, batch_size=shape.batch
        ),
        sample: _node(
            "KSampler",
            model=[model, 0],
            positive=[good, 0],
            negative=[bad, 0],
            latent_image=[empty, 0],
            seed=seed,
            steps=shape.steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        decode: _node("VAEDecode", samples=[sample, 0], vae=[model, 2]),
        show: _node("PreviewImage", images=[decode, 0]),
    }


def _plain(name: str) -> str:
    return f"{_PLAIN}-{case(name).width}-64-1-1"


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}
