"""What a job will need: device bytes and seconds, from features and from past runs.

Cold start, bytes = context + weights + the larger of sampling and VAE, each a
constant per image pixel. On the measured runs (one ComfyUI 0.3.64 on an H200,
fp16, default flags) torch's reserved peak is weights + 0.03 GiB + 2,740 to 2,865
bytes per pixel that the VAE decodes, for SD 1.5 and SDXL alike, from 512² to 4K.
Flux and unknown families are assumptions and carry a larger margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.profile import Profile, from_json, observe, to_json
from scheduler.workflow.features import Features
from scheduler.workflow.models import BASE_FOLDERS, Family, folder_of

__all__ = ["Estimate", "Profile", "estimate", "from_json", "observe", "to_json"]

#: A ComfyUI process beyond what torch reserves: 1.36 GiB (measured).
CONTEXT_BYTES: Final = 1_460_288_881
#: torch's reserved bytes before any model is loaded (measured).
_IDLE_BYTES: Final = 67_108_864
#: Reserved per image pixel in the VAE: 2,738 to 2,861 measured over all runs.
_VAE_BYTES_PER_PIXEL: Final = 2_880

#: Reserved per image pixel while sampling. sd15: 624 to 896 and sdxl: 480 measured
#: (cfg 7, i.e. two passes at once); flux: ComfyUI 0.3.64's own factor, not measured.
_SAMPLE_BYTES_PER_PIXEL: Final[Mapping[Family, int]] = {
    "sd15": 900,
    "sdxl": 520,
    "flux": 920,
    "unknown": 1_000,
}
#: On the whole estimate but the context. Measured families need none beyond their constants.
_MARGIN: Final[Mapping[Family, float]] = {"sd15": 1.0, "sdxl": 1.0, "flux": 1.1, "unknown": 1.15}

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

#: Seconds per million pixels and step; sd15 and sdxl measured (largest seen), others scaled.
_STEP_SECONDS: Final[Mapping[Family, float]] = {
    "sd15": 0.06,
    "sdxl": 0.08,
    "flux": 0.25,
    "unknown": 0.12,
}
#: Seconds per million pixels in the VAE: 0.10 to 0.25 measured, encode and decode together.
_VAE_SECONDS: Final = 0.25
#: Cold load: 1.2 to 2.2 GB/s measured from checkpoint to GPU, plus first kernels.
_LOAD_BYTES_PER_SECOND: Final = 1.5e9
_START_SECONDS: Final = 1.0

#: A learned peak is raised by 5 %, while fewer than four runs are known by 20 % over their
#: count: the same workflow's reserved peak was seen to differ by 19 % from run to run.
_LEARNED_MARGIN: Final = 0.05
_DOUBT: Final = 0.20
#: Runs of a coarser kind before it says anything of this one.
_PARENT_RUNS: Final = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to book."""

    #: device footprint with context; 0: no GPU needed
    bytes: int
    seconds: float
    #: True: this very kind was never measured
    cold: bool


def estimate(features: Features, profiles: Sequence[Profile | None] | None = None) -> Estimate:
    """Estimates a job's need.

    Args:
        features: of its workflow.
        profiles: of ``features.fingerprint``, then of ``features.parents`` in their
            order, None where nothing is known; shorter is fine.
    """
    own, *coarser = profiles or (None,)
    seconds = _seconds(features, own, coarser)
    if not features.needs_gpu:
        return Estimate(0, seconds, own is None or own.count == 0)
    if own is None or own.peak_bytes == 0:
        nearest = coarser[0] if coarser else None
        seen = nearest.peak_bytes if nearest and nearest.count >= _PARENT_RUNS else 0
        return Estimate(max(_cold_bytes(features), seen), seconds, cold=True)
    return Estimate(_learned_bytes(features, own), seconds, cold=False)


def _cold_bytes(features: Features) -> int:
    sample = features.latent_pixels * _SAMPLE_BYTES_PER_PIXEL[features.family]
    if features.steps == 0:
        sample = 0
    work = max(sample, features.vae_pixels * _VAE_BYTES_PER_PIXEL)
    torch_bytes = _IDLE_BYTES + _weights(features) + work
    return CONTEXT_BYTES + int(torch_bytes * _MARGIN[features.family])


def _weights(features: Features) -> int:
    """Known sizes, plus the usual one for each model that has none."""
    usual = (_usual_bytes(model, features.family) for model in features.unsized_models)
    return features.weight_bytes + sum(usual)


def _usual_bytes(model: str, family: Family) -> int:
    folder = folder_of(model)
    if folder in BASE_FOLDERS:
        return _BASE_BYTES[family]
    return _OTHER_BYTES.get(folder, _ANY_MODEL_BYTES)


def _learned_bytes(features: Features, own: Profile) -> int:
    """The peak seen, plus doubt that shrinks with runs and ends where cold start is surer."""
    sure = int(own.peak_bytes * (1 + _LEARNED_MARGIN))
    doubtful = int(own.peak_bytes * (1 + _DOUBT / max(1, own.count)))
    return max(sure, min(doubtful, _cold_bytes(features)))


def _seconds(features: Features, own: Profile | None, coarser: Sequence[Profile | None]) -> float:
    if own is not None and own.count:
        return own.seconds
    # The coarsest kind mixes everything: worse than a guess from this graph.
    for parent in coarser[:2]:
        if parent is not None and parent.count >= _PARENT_RUNS:
            return parent.seconds
    if not features.needs_gpu:
        return _START_SECONDS
    load = _weights(features) / _LOAD_BYTES_PER_SECOND
    sample = features.steps * features.latent_pixels / 1e6 * _STEP_SECONDS[features.family]
    return _START_SECONDS + load + sample + features.vae_pixels / 1e6 * _VAE_SECONDS
