"""What formulas say of a workflow before any run: device bytes, seconds, their parts (pure).

Bytes = context + weights + the larger of sampling and VAE. The VAE's work is a
constant per image pixel: on an H200 with ComfyUI 0.3.64's decoder torch *allocates*
2,177 bytes a pixel from 512² to 4096², and cudaMallocAsync's pool *reserves* 2,620 to
2,870 for it in 32 MiB blocks, more from the second run on (measured on 22 ComfyUI runs
and on 38 shapes of the decoder alone). So the formula is the ceiling that a run
grows to, not its mean. Flux and unknown families are assumptions and carry a margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scheduler.states import Guess
from scheduler.workflow.features import Features
from scheduler.workflow.models import BASE_FOLDERS, Family, device_bytes, folder_of

#: A ComfyUI process beyond what torch reserves: 0.67 GiB with the native allocator, 0.74 to
#: 0.80 with cudaMallocAsync (NVML's figures per process, H200). Another 0.6 GiB are the
#: device's own, once, and count as other processes' memory.
CONTEXT_BYTES: Final = 858_993_459
#: torch's reserved bytes before any model is loaded (measured).
IDLE_BYTES: Final = 67_108_864
#: Reserved per image pixel in the VAE.
VAE_BYTES_PER_PIXEL: Final = 2_880
#: An upscale model works in tiles of 512²: half of what ComfyUI 0.3.64 books for it at
#: 4x, which is the ratio of true to booked bytes in the VAE. An assumption.
_UPSCALER_BYTES: Final = 2_415_919_104

#: Reserved per image pixel while sampling. sd15: 624 to 896 and sdxl: 480 measured
#: (cfg 7, i.e. two passes at once); flux: ComfyUI 0.3.64's own factor, not measured.
_SAMPLE_BYTES_PER_PIXEL: Final[Mapping[Family, int]] = {
    "sd15": 900,
    "sdxl": 520,
    "flux": 920,
    "unknown": 1_000,
}
#: On all but the context. Measured families need none beyond their constants.
_MARGIN: Final[Mapping[Family, float]] = {"sd15": 1.0, "sdxl": 1.0, "flux": 1.1, "unknown": 1.15}
#: Nodes of custom packs may take memory of their own (an assumption).
_UNKNOWN_NODES_MARGIN: Final = 1.1

#: Weights of a base model whose size is not known: measured files, flux as published (fp16).
_BASE_BYTES: Final[Mapping[Family, int]] = {
    "sd15": 2_132_625_150,
    "sdxl": 6_938_041_144,
    "flux": 23_800_000_000,
    "unknown": 6_938_041_144,
}
#: The same for other models, by folder (usual file sizes, not measured).
_OTHER_BYTES: Final[Mapping[str, int]] = {
    "vae": 335_000_000,
    "loras": 230_000_000,
    "controlnet": 1_450_000_000,
    "text_encoders": 2_000_000_000,
    "clip_vision": 1_300_000_000,
    "upscale_models": 67_000_000,
}
_ANY_MODEL_BYTES: Final = 1_000_000_000

#: Seconds of a step: (least, per million pixels, per million pixels squared, for attention
#: across one picture). sd15 and sdxl fitted to warm runs on an H200; others scaled by weights.
_STEP_SECONDS: Final[Mapping[Family, tuple[float, float, float]]] = {
    "sd15": (0.032, 0.035, 0.0),
    "sdxl": (0.077, 0.036, 0.0023),
    "flux": (0.15, 0.25, 0.005),
    "unknown": (0.08, 0.06, 0.0023),
}
#: Samplers that ask the model twice per step (words in their names).
_TWICE: Final = ("heun", "dpm_2", "dpmpp_2s", "dpmpp_sde", "seeds")
#: The VAE, one way: per million pixels, and squared per picture (its attention); measured.
_VAE_SECONDS: Final = (0.055, 0.0085)
#: Making and writing PNGs of noise, per million pixels; measured.
_SAVE_SECONDS: Final = 0.17
_NODES_SECONDS: Final = 0.05
#: First loads: 1.0 to 1.3 GB/s from file to GPU, plus first kernels; measured as cold less warm.
_LOAD_BYTES_PER_SECOND: Final = 1.3e9
_FIRST_SECONDS: Final = 0.2
#: A graph that needs no GPU: unknown work, mostly small.
PLAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a workflow's bytes and seconds consist of."""

    #: all models on the device
    weight_bytes: int
    #: activations while sampling
    sample_bytes: int
    #: the VAE's, all pictures at once
    vae_bytes: int
    #: seconds in samplers, models loaded
    sample_seconds: float
    #: seconds in the VAE
    vae_seconds: float
    #: seconds in everything else
    other_seconds: float
    #: factor on all but the context
    margin: float

    @property
    def work_bytes(self) -> int:
        """Largest activations."""
        return max(self.sample_bytes, self.vae_bytes)

    @property
    def seconds(self) -> float:
        """Run time, models loaded."""
        return self.sample_seconds + self.vae_seconds + self.other_seconds

    def footprint(self, torch_bytes: float) -> int:
        """Device footprint of a process in which torch reserves so much for models and work."""
        return CONTEXT_BYTES + int((IDLE_BYTES + torch_bytes) * self.margin)


def parts_of(features: Features) -> Parts:
    """Takes a workflow apart."""
    family = features.family
    sampled = features.steps > 0
    sample = features.latent_pixels * _SAMPLE_BYTES_PER_PIXEL[family] if sampled else 0
    vae = features.vae_pixels * VAE_BYTES_PER_PIXEL
    if any(folder_of(model) == "upscale_models" for model in features.models):
        vae = max(vae, _UPSCALER_BYTES)
    megapixels = features.vae_pixels / 1e6
    each, squared = _VAE_SECONDS
    vae_seconds = each * megapixels + squared * megapixels * features.decode_pixels / 1e6
    # a graph without a sampler that uses the VAE takes pictures apart and puts them together
    ways = 1.0 if sampled else 1.8
    return Parts(
        weight_bytes=weight_bytes(features),
        sample_bytes=sample,
        vae_bytes=vae,
        sample_seconds=features.steps * _step_seconds(features),
        vae_seconds=ways * vae_seconds,
        other_seconds=_NODES_SECONDS + _SAVE_SECONDS * megapixels,
        margin=max(_MARGIN[family], _UNKNOWN_NODES_MARGIN if features.unknown_nodes else 1.0),
    )


def guess(features: Features) -> Guess:
    """What formulas say of it."""
    if not features.needs_gpu:
        return Guess(0, PLAIN_SECONDS, 0.0)
    parts = parts_of(features)
    load = _FIRST_SECONDS + parts.weight_bytes / _LOAD_BYTES_PER_SECOND if features.models else 0.0
    return Guess(
        bytes=parts.footprint(parts.weight_bytes + parts.work_bytes),
        seconds=parts.seconds,
        load_seconds=load,
    )


def weight_bytes(features: Features) -> int:
    """All models on the device: known sizes, and the usual one for each that has none."""
    sizes = zip(features.models, features.model_bytes, strict=True)
    return sum(
        device_bytes(model, size) if size else _usual_bytes(model, features.family)
        for model, size in sizes
    )


def _usual_bytes(model: str, family: Family) -> int:
    folder = folder_of(model)
    if folder in BASE_FOLDERS:
        return _BASE_BYTES[family]
    return _OTHER_BYTES.get(folder, _ANY_MODEL_BYTES)


def _step_seconds(features: Features) -> float:
    least, each, squared = _STEP_SECONDS[features.family]
    megapixels = features.latent_pixels / 1e6
    picture = megapixels / max(1, features.batch)
    once = max(least, each * megapixels + squared * megapixels * picture)
    return 2 * once if any(word in features.sampler for word in _TWICE) else once
