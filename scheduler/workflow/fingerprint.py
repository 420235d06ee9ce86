"""Names the kind of a workflow, so that what one run needed serves the next.

The key is what decides memory and time: models with dtype, samplers, pixels in
buckets, adapters, node classes. Seeds, prompts and file names of inputs never
enter it, so it may be logged and shared between users.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from scheduler.workflow.models import ADAPTER_FOLDERS, BASE_FOLDERS, folder_of

if TYPE_CHECKING:
    from scheduler.workflow.features import Features

#: Buckets per doubling of pixels: 2^(1/4), i.e. sizes within 19 % share a key.
_BUCKETS_PER_OCTAVE: Final = 4
#: Features whose keys are remembered: a prompt asks for them twice, the next of its kind again.
_KEPT: Final = 256
#: Change it when the meaning of the key changes, so that old profiles do not mislead.
_VERSION: Final = 1
#: ``json.dumps`` makes an encoder for each call, which takes longer than encoding
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=_KEPT)
def fingerprint(features: Features) -> str:
    """32 hex digits; equal for runs that should need about the same."""
    adapters = [model for model in features.models if folder_of(model) in ADAPTER_FOLDERS]
    return _key(
        "workflow",
        [model for model in features.models if model not in adapters],
        features.weight_dtype,
        features.sampler,
        [bucket(features.latent_pixels), bucket(features.vae_pixels)],
        sorted(adapters),
        sorted(features.node_classes),
    )


@lru_cache(maxsize=_KEPT)
def parents(features: Features) -> tuple[str, ...]:
    """Coarser keys, finest first: base model with pixels, base model, everything."""
    base = [model for model in features.models if folder_of(model) in BASE_FOLDERS]
    kind = [base, features.weight_dtype, features.needs_gpu]
    pixels = bucket(max(features.latent_pixels, features.vae_pixels))
    return _key("pixels", *kind, pixels), _key("base", *kind), _key("all", features.needs_gpu)


def bucket(pixels: int) -> int:
    """The nearest power of 2^(1/4), as its exponent in quarters; −1 for none."""
    return -1 if pixels <= 0 else round(math.log2(pixels) * _BUCKETS_PER_OCTAVE)


def _key(*parts: Any) -> str:
    canonical = _encode([_VERSION, *parts])
    return hashlib.sha256(canonical.encode()).digest()[:16].hex()
