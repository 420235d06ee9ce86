"""What advice needs of posted graphs and of what nodes gave out (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from store.facts import Sampling

#: Names in ComfyUI's lists of samplers and schedulers; whatever else stands there is not told.
_NAME: Final = re.compile(r"[A-Za-z0-9_+.\- ]{1,48}")
#: Pixels to a side of a latent's element; a VAE of another factor is told by what it gives out.
_LATENT: Final = 8
#: Inputs that change no picture.
_NO_MATTER: Final = ("filename_prefix",)


def read(body: bytes | None) -> tuple[str, dict[str, Sampling]]:
    """Its hash, and its sampler nodes; "" and none where it cannot be read."""
    try:
        posted = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return "", {}
    graph = posted.get("prompt") if isinstance(posted, dict) else None
    if not isinstance(graph, dict) or not graph:
        return "", {}
    nodes = {str(name): node for name, node in graph.items() if isinstance(node, dict)}
    return _digest(nodes), {
        name: told for name, node in nodes.items() if (told := _sampling(node)) is not None
    }


def _digest(nodes: Mapping[str, Mapping[str, Any]]) -> str:
    plain = {
        name: [node.get("class_type"), _matter(node.get("inputs"))] for name, node in nodes.items()
    }
    try:
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return ""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _matter(inputs: Any) -> Any:
    if not isinstance(inputs, dict):
        return inputs
    return {name: value for name, value in inputs.items() if name not in _NO_MATTER}


def _sampling(node: Mapping[str, Any]) -> Sampling | None:
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return None
    name, steps = inputs.get("sampler_name"), inputs.get("steps")
    scheduler = inputs.get("scheduler", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    if not isinstance(steps, int) or isinstance(steps, bool) or not 0 < steps <= 10_000:
        return None
    told = isinstance(scheduler, str) and _NAME.fullmatch(scheduler)
    return Sampling(sampler=name, scheduler=scheduler if told else "", steps=steps)


def picture(class_type: str, shapes: str | None) -> tuple[int, int, int]:
    """Pictures, width and height that a node gave out, or that its latent stands for; zeros: not told."""
    try:
        outputs = json.loads(shapes or "{}").get("outputs") or {}
        told = [
            one["shape"] for one in outputs.values() if isinstance(one, dict) and "shape" in one
        ]
        sides = [int(side) for side in told[0]] if told else []
    except (ValueError, TypeError, AttributeError):
        return 0, 0, 0
    if class_type.startswith("VAEDecode") and len(sides) == 4:
        batch, height, width, _ = sides  # as pictures are: last the colours
        return batch, width, height
    if len(sides) in (4, 5):
        frames = sides[2] if len(sides) == 5 else 1
        return sides[0] * frames, sides[-1] * _LATENT, sides[-2] * _LATENT
    return 0, 0, 0
