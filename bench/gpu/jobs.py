"""The jobs of the mix as graphs for a real ComfyUI, by the names of ``simulator.mix.cases``."""

from __future__ import annotations

import random
from typing import Any, Final

from bench.gpu.graphs import Workflow
from simulator.mix.cases import load_facts

#: case of the mix → what stands for it where there is no GPU: the smallest work that takes
#: the same way
_REHEARSAL: Final = {"sdxl-1024-1024-4-10": "sd15-small-64-64-1-1"}
#: any other case there: a picture without a model
_PLAIN: Final = "plain"


def workflow(name: str) -> Workflow:
    """``sdxl-1024-1024-4-10``: checkpoint, width, height, batch, steps.

    Raises:
        ValueError: it is no such name.
    """
    checkpoint, *shape = name.rsplit("-", 4)
    width, height, batch, steps = map(int, shape)
    return Workflow(checkpoint, width, height, batch, steps)


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
    wanted = workflow(name)
    if wanted.checkpoint != _PLAIN:
        return wanted.graph(seed)
    size = {"width": wanted.width, "height": wanted.height, "batch_size": wanted.batch}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "color": seed % 2**24}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def _plain(name: str) -> str:
    return f"{_PLAIN}-{workflow(name).width}-64-1-1"
