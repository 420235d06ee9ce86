"""What a studio runs: graphs as clients post them, and what each of their nodes takes.

Times and sizes are of the order that a 24 GiB card shows; none of them is a benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scheduler.workflow.features import features

GIB: Final = 2**30
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKind:
    """One node of a graph."""

    id: str
    class_type: str
    inputs: Mapping[str, Any]
    #: it usually takes so long, models loaded
    seconds: float
    #: standard deviation of the logarithm of its seconds
    spread: float = 0.1
    #: torch's bytes beyond the weights while it runs
    work_bytes: int = 0
    #: of its first output; (): none
    shape: tuple[int, ...] = ()
    dtype: str = "float16"
    #: seconds instead, where it falls back to tiles for want of memory; 0: it never does
    tiled_seconds: float = 0.0
    #: share of runs in which it fails, and with what
    fails: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A graph, and what it needs."""

    name: str
    nodes: tuple[NodeKind, ...]
    #: file → bytes, in the order in which they are loaded; the first one is the main model
    models: Mapping[str, int]
    load_seconds: float
    #: comfortable peak, as the profile has it
    need_bytes: int
    #: share of ``need_bytes`` that runs really take: from, to
    use: tuple[float, float] = (0.72, 0.93)

    @property
    def seconds(self) -> float:
        """Run time with its models loaded, expected."""
        return sum(node.seconds for node in self.nodes)

    def graph(self, seed: int) -> Json:
        """The graph with this seed in its samplers."""
        return {
            node.id: {
                "class_type": node.class_type,
                "inputs": {
                    name: seed if name == "seed" else _posted(value)
                    for name, value in node.inputs.items()
                },
            }
            for node in self.nodes
        }

    def fingerprint(self) -> str:
        """As the gateway computes it."""
        return features(self.graph(0)).fingerprint


def _posted(value: Any) -> Any:
    # links are tuples here, lists in what is posted
    return list(value) if isinstance(value, tuple) else value


def _node(id_: str, class_type: str, seconds: float, /, **fields: Any) -> NodeKind:
    inputs = fields.pop("inputs", {})
    return NodeKind(id=id_, class_type=class_type, seconds=seconds, inputs=inputs, **fields)


def _texts(clip: tuple[str, int], first: int) -> list[NodeKind]:
    return [
        _node(
            str(first + place), "CLIPTextEncode", 0.12,
            inputs={"text": text, "clip": clip}, shape=(1, 77, 768),
        )
        for place, text in enumerate(("a studio's prompt", "blurry"))
    ]  # fmt: skip


def _sampler(id_: str, seconds: float, pixels: tuple[int, ...], /, **inputs: Any) -> NodeKind:
    work = inputs.pop("work_bytes", 3 * GIB)
    settings = {
        "seed": 0, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal",
        "denoise": 1.0, "model": ("1", 0), "positive": ("2", 0), "negative": ("3", 0),
        "latent_image": ("4", 0),
    } | inputs  # fmt: skip
    return _node(id_, "KSampler", seconds, inputs=settings, work_bytes=work, shape=pixels)


def _ending(first: int, samples: str, side: tuple[int, int], /, **decode: Any) -> list[NodeKind]:
    """Decode and save."""
    vae = decode.pop("vae", ("1", 2))
    frames = decode.pop("frames", 1)
    save = decode.pop("save", "SaveImage")
    seconds = decode.pop("seconds", 0.4)
    return [
        _node(
            str(first), "VAEDecode", seconds,
            inputs={"samples": (samples, 0), "vae": vae}, shape=(frames, *side, 3),
            dtype="float32", **{"work_bytes": 3 * GIB} | decode,
        ),
        _node(
            str(first + 1), save, 0.35,
            inputs={"images": (str(first), 0), "filename_prefix": "studio"},
        ),
    ]  # fmt: skip


def _checkpoint(name: str) -> NodeKind:
    return _node("1", "CheckpointLoaderSimple", 0.02, inputs={"ckpt_name": name})


def _latent(width: int, height: int, batch: int = 1) -> NodeKind:
    return _node(
        "4", "EmptyLatentImage", 0.01,
        inputs={"width": width, "height": height, "batch_size": batch},
        shape=(batch, 4, height // 8, width // 8),
    )  # fmt: skip


def _split(unet: str, clip: str, vae: str) -> list[NodeKind]:
    """Loaders of models that come in parts."""
    return [
        _node("1", "UNETLoader", 0.02, inputs={"unet_name": unet, "weight_dtype": "default"}),
        _node("8", "CLIPLoader", 0.02, inputs={"clip_name": clip, "type": "wan"}),
        _node("9", "VAELoader", 0.02, inputs={"vae_name": vae}),
    ]


_PORTRAIT: Final = Workflow(
    name="portrait",
    models={"checkpoints/photoreal_15.safetensors": 2 * GIB},
    load_seconds=3.0,
    need_bytes=int(8.6 * GIB),
    nodes=(
        _checkpoint("photoreal_15.safetensors"),
        *_texts(("1", 1), 2),
        _latent(512, 768),
        _sampler("5", 3.1, (1, 4, 96, 64)),
        _node(
            "6", "LatentUpscale", 0.02, shape=(1, 4, 192, 128),
            inputs={"samples": ("5", 0), "upscale_method": "bislerp", "width": 1024,
                    "height": 1536, "crop": "disabled"},
        ),
        _sampler("7", 7.6, (1, 4, 192, 128), latent_image=("6", 0), denoise=0.5),
        *_ending(10, "7", (1536, 1024)),
    ),
)  # fmt: skip


def _sdxl(name: str, sampler: str, seconds: float, batch: int, need: float) -> Workflow:
    return Workflow(
        name=name,
        models={"checkpoints/sdxl_base.safetensors": int(6.5 * GIB)},
        load_seconds=7.0,
        need_bytes=int(need * GIB),
        nodes=(
            _checkpoint("sdxl_base.safetensors"),
            _node(
                "20", "LoraLoader", 0.3,
                inputs={"lora_name": "house_style.safetensors", "strength_model": 0.8,
                        "strength_clip": 0.8, "model": ("1", 0), "clip": ("1", 1)},
            ),
            *_texts(("20", 1), 2),
            _latent(1024, 1024, batch),
            _sampler(
                "5", seconds, (batch, 4, 128, 128), model=("20", 0), sampler_name=sampler,
                steps=30, work_bytes=(2 + batch) * GIB,
            ),
            *_ending(10, "5", (1024, 1024), frames=batch, seconds=0.45 * batch),
        ),
    )  # fmt: skip


_KEY_VISUAL: Final = _sdxl("key visual", "euler", 15.0, 1, 11.0)
#: the same picture by a sampler that asks the model twice a step
_KEY_VISUAL_SLOW: Final = _sdxl("key visual, sde", "dpmpp_sde", 28.0, 1, 11.0)
#: more pictures at once than its reservation likes
_CONTACT_SHEET: Final = _sdxl("contact sheet", "euler", 88.0, 8, 17.5)

_UPSCALE: Final = Workflow(
    name="4K upscale",
    models={"checkpoints/sdxl_base.safetensors": int(6.5 * GIB)},
    load_seconds=7.0,
    need_bytes=int(14.2 * GIB),
    nodes=(
        _checkpoint("sdxl_base.safetensors"),
        *_texts(("1", 1), 2),
        _node("12", "LoadImage", 0.15, inputs={"image": "plate.png"}, shape=(1, 1024, 1024, 3),
              dtype="float32"),
        _node("13", "ImageScale", 0.2, shape=(1, 3840, 3840, 3), dtype="float32",
              inputs={"image": ("12", 0), "upscale_method": "lanczos", "width": 3840,
                      "height": 3840, "crop": "disabled"}),
        _node("4", "VAEEncode", 0.9, inputs={"pixels": ("13", 0), "vae": ("1", 2)},
              shape=(1, 4, 480, 480), work_bytes=5 * GIB),
        _sampler("5", 26.0, (1, 4, 480, 480), steps=12, denoise=0.3, work_bytes=5 * GIB),
        *_ending(10, "5", (3840, 3840), seconds=0.8, tiled_seconds=11.8, work_bytes=7 * GIB),
    ),
)  # fmt: skip

_CONCEPT: Final = Workflow(
    name="concept",
    models={
        "diffusion_models/flux1-dev-fp8.safetensors": int(11.1 * GIB),
        "text_encoders/t5xxl_fp8.safetensors": int(4.6 * GIB),
    },
    load_seconds=19.0,
    need_bytes=int(19.2 * GIB),
    nodes=(
        *_split("flux1-dev-fp8.safetensors", "t5xxl_fp8.safetensors", "ae.safetensors"),
        *_texts(("8", 0), 2),
        _node("14", "FluxGuidance", 0.01, inputs={"conditioning": ("2", 0), "guidance": 3.5}),
        _node("4", "EmptySD3LatentImage", 0.01, shape=(1, 16, 128, 128),
              inputs={"width": 1024, "height": 1024, "batch_size": 1}),
        _sampler("5", 36.0, (1, 16, 128, 128), positive=("14", 0), cfg=1.0, work_bytes=2 * GIB),
        *_ending(10, "5", (1024, 1024), vae=("9", 0)),
    ),
)  # fmt: skip

_SHOT: Final = Workflow(
    name="shot",
    models={
        "diffusion_models/wan2.1_t2v_14B_fp8.safetensors": int(13.4 * GIB),
        "text_encoders/umt5_xxl_fp8.safetensors": int(6.3 * GIB),
    },
    load_seconds=31.0,
    need_bytes=int(21.0 * GIB),
    nodes=(
        *_split("wan2.1_t2v_14B_fp8.safetensors", "umt5_xxl_fp8.safetensors", "wan.safetensors"),
        *_texts(("8", 0), 2),
        _node("4", "EmptyHunyuanLatentVideo", 0.01, shape=(1, 16, 13, 60, 104),
              inputs={"width": 832, "height": 480, "length": 49, "batch_size": 1}),
        _sampler("5", 205.0, (1, 16, 13, 60, 104), steps=30, work_bytes=5 * GIB),
        *_ending(10, "5", (480, 832), vae=("9", 0), frames=49, seconds=6.0,
                 save="SaveAnimatedWEBP"),
    ),
)  # fmt: skip

_CUT_OUT: Final = Workflow(
    name="cut-out",
    models={"checkpoints/photoreal_15.safetensors": 2 * GIB},
    load_seconds=3.0,
    need_bytes=int(8.8 * GIB),
    nodes=(
        _checkpoint("photoreal_15.safetensors"),
        *_texts(("1", 1), 2),
        _node("12", "LoadImage", 0.1, inputs={"image": "plate.png"}, shape=(1, 768, 768, 3),
              dtype="float32"),
        _node("15", "SegmentPeople", 1.4, inputs={"image": ("12", 0), "threshold": 0.5},
              spread=0.4, shape=(1, 768, 768), dtype="float32", fails=0.3,
              error="IndexError"),
        _node("4", "VAEEncodeForInpaint", 0.3, shape=(1, 4, 96, 96),
              inputs={"pixels": ("12", 0), "vae": ("1", 2), "mask": ("15", 0),
                      "grow_mask_by": 6}),
        _sampler("5", 6.5, (1, 4, 96, 96)),
        *_ending(10, "5", (768, 768)),
    ),
)  # fmt: skip

#: By name.
WORKFLOWS: Final[Mapping[str, Workflow]] = {
    one.name: one
    for one in (
        _PORTRAIT, _KEY_VISUAL, _KEY_VISUAL_SLOW, _CONTACT_SHEET, _UPSCALE, _CONCEPT, _SHOT,
        _CUT_OUT,
    )
}  # fmt: skip
#: class types that read models into memory: what a cold start costs is theirs
LOADERS: Final[Sequence[str]] = (
    "CheckpointLoaderSimple",
    "UNETLoader",
    "CLIPLoader",
    "VAELoader",
)
