"""Which model files a simulated worker pretends to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 2**20
GIB = 2**30

#: The folders of ``GET /models``, in ComfyUI's order.
FOLDERS = (
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model on the pretended disk.

    Attributes:
        folder: One of :data:`FOLDERS`.
        name: File name as the combos list it.
        size_bytes: Size on disk; what it takes in memory is the same.
        family: ``sd15`` or ``sdxl``: how fast it samples.
    """

    folder: str
    name: str
    size_bytes: int
    family: str = "sd15"


#: Sizes of the checkpoints: the measured files (fp16); the rest are usual sizes.
_DEFAULT = (
    ModelFile("checkpoints", "sd15.safetensors", int(1.99 * GIB), "sd15"),
    ModelFile("checkpoints", "sdxl.safetensors", int(6.46 * GIB), "sdxl"),
    # The name in the default workflow of ComfyUI's own frontend.
    ModelFile("checkpoints", "v1-5-pruned-emaonly-fp16.safetensors", int(1.99 * GIB), "sd15"),
    ModelFile("loras", "detail.safetensors", 144 * MIB),
    ModelFile("loras", "style-xl.safetensors", 435 * MIB, "sdxl"),
    ModelFile("vae", "vae-ft-mse-840000-ema-pruned.safetensors", 319 * MIB),
    ModelFile("vae", "sdxl_vae.safetensors", 319 * MIB, "sdxl"),
    ModelFile("controlnet", "control_v11p_sd15_canny.safetensors", 689 * MIB),
    ModelFile("controlnet", "control_v11f1p_sd15_depth.safetensors", 689 * MIB),
    ModelFile("upscale_models", "RealESRGAN_x4plus.pth", 64 * MIB),
    ModelFile("text_encoders", "clip_l.safetensors", 235 * MIB),
    ModelFile("text_encoders", "clip_g.safetensors", 1325 * MIB, "sdxl"),
    ModelFile("clip_vision", "clip_vision_h.safetensors", 1208 * MIB),
    ModelFile("diffusion_models", "sdxl_unet.safetensors", int(4.78 * GIB), "sdxl"),
)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All model files of one worker."""

    files: tuple[ModelFile, ...] = _DEFAULT
    _by_key: Mapping[tuple[str, str], ModelFile] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_key = {(file.folder, file.name): file for file in self.files}
        object.__setattr__(self, "_by_key", by_key)

    def names(self, folder: str) -> list[str]:
        """The file names of a folder, sorted as in ComfyUI's combos."""
        return sorted(file.name for file in self.files if file.folder == folder)

    def in_folder(self, folder: str) -> list[ModelFile]:
        """The files of a folder by name."""
        return sorted(
            (file for file in self.files if file.folder == folder), key=lambda file: file.name
        )

    def find(self, folder: str, name: str) -> ModelFile:
        """One file.

        Raises:
            FileNotFoundError: The worker pretends to have no such file.
        """
        try:
            return self._by_key[folder, name]
        except KeyError:
            raise FileNotFoundError(
                f"Model in folder '{folder}' with filename '{name}' not found."
            ) from None
