"""Finds the model files that a graph loads, and guesses what family they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from scheduler.workflow.parse import Graph, Node

Family: TypeAlias = Literal["sd15", "sdxl", "flux", "unknown"]

#: input name → models folder, as ComfyUI's own loaders use them
_FOLDERS: Final = {
    "ckpt_name": "checkpoints",
    "unet_name": "diffusion_models",
    "vae_name": "vae",
    "lora_name": "loras",
    "control_net_name": "controlnet",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "style_model_name": "style_models",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "photomaker_model_name": "photomaker",
    "audio_encoder_name": "audio_encoders",
    "model_path": "diffusers",
    "ipadapter_file": "ipadapter",
}
#: where the class decides what the input means
_FOLDERS_OF_CLASS: Final = {
    ("CLIPVisionLoader", "clip_name"): "clip_vision",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
    ("ModelPatchLoader", "name"): "model_patches",
}
#: folder of a model file named by an input that no table knows
_OTHER: Final = "other"
_SUFFIXES: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".gguf", ".onnx")
_NONE: Final = frozenset({"", "none", "[none]", "pixel_space"})

#: folders whose model does the sampling
BASE_FOLDERS: Final = frozenset({"checkpoints", "diffusion_models", "diffusers"})
#: folders whose model changes another one's result
ADAPTER_FOLDERS: Final = frozenset(
    {"loras", "controlnet", "style_models", "gligen", "hypernetworks", "photomaker", "ipadapter",
     "model_patches"}
)  # fmt: skip

#: words in a file's name; first match wins, so the more telling ones stand first
_NAMES: Final[tuple[tuple[str, Family], ...]] = (
    ("flux", "flux"),
    ("sdxl", "sdxl"),
    ("xl", "sdxl"),
    ("pony", "sdxl"),
    ("illustrious", "sdxl"),
    ("noobai", "sdxl"),
    ("sd15", "sd15"),
    ("sd1.5", "sd15"),
    ("sd_1", "sd15"),
    ("v1-5", "sd15"),
    ("v1.5", "sd15"),
)
#: file sizes of whole fp16 checkpoints: 1.99 GiB and 6.46 GiB measured, flux 11 to 24 GB published
_SIZES: Final[tuple[tuple[float, float, Family], ...]] = (
    (1.9e9, 2.5e9, "sd15"),
    (6.4e9, 7.4e9, "sdxl"),
    (11e9, 25e9, "flux"),
)
#: What the weights of a whole model take on the device (fp16), and how much larger its file may
#: be: fp32 doubles it, and old sd15 files hold a second, averaged copy beside that.
_ON_DEVICE: Final[Mapping[Family, tuple[float, float]]] = {
    "sd15": (2_132_625_150, 3.7),
    "sdxl": (6_938_041_144, 2.1),
}
_HEAVIEST_FIRST: Final[tuple[Family, ...]] = ("flux", "unknown", "sdxl", "sd15")


def models_of(graph: Graph) -> tuple[str, ...]:
    """Every model file as ``folder/name``, once each, in load order."""
    found: dict[str, None] = {}
    for node in graph.values():
        for name, value in node.inputs.items():
            model = _model(node, name, value)
            if model is not None:
                found[model] = None
    return tuple(found)


def _model(node: Node, name: str, value: Any) -> str | None:
    if isinstance(value, Mapping):  # one row of a stack of adapters: {"on", "lora", "strength"}
        row = value.get("lora")
        loaded = isinstance(row, str) and value.get("on") is not False and row.lower() not in _NONE
        return f"loras/{row}" if loaded else None
    if not isinstance(value, str) or value.lower() in _NONE:
        return None
    folder = _FOLDERS_OF_CLASS.get((node.class_type, name)) or _FOLDERS.get(name)
    if folder is None:
        named = value.lower().endswith(_SUFFIXES) and "load" in node.class_type.lower()
        folder = _OTHER if named else None
    return None if folder is None else f"{folder}/{value}"


def folder_of(model: str) -> str:
    """The folder of ``folder/name``."""
    return model.partition("/")[0]


def device_bytes(model: str, size: int) -> int:
    """What a model file of this size takes on the device: ComfyUI loads fp32 files as fp16."""
    if folder_of(model) not in BASE_FOLDERS:
        return size
    most, factor = _ON_DEVICE.get(_family(model, size), (size, 1.0))
    return int(most) if 1.5 * most < size <= factor * most else size


def family_of(models: tuple[str, ...], sizes: Mapping[str, int]) -> Family:
    """The family of the base models; of several, the one that needs most per pixel."""
    found = {_family(m, sizes.get(m, 0)) for m in models if folder_of(m) in BASE_FOLDERS}
    return next((family for family in _HEAVIEST_FIRST if family in found), "unknown")


def _family(model: str, size: int) -> Family:
    """Guesses by the file's name, else by its size in bytes."""
    name = model.lower()
    for word, family in _NAMES:
        if word in name:
            return family
    return next((family for low, high, family in _SIZES if low <= size <= high), "unknown")
