"""Write checkpoints with random weights, in the exact keys and shapes of SD 1.5 and SDXL.

Runs in ComfyUI's own Python and asks ComfyUI's classes for the shapes, so that what it
writes loads there as a real file does, of the same size, at the same speed. What comes out
of such a model is noise; time and memory do not depend on the weights.

    PYTHON bench/gpu/checkpoints.py --comfyui PATH [--out FOLDER] [--only sd15] [--cpu]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

#: the U-Nets: what Stable Diffusion's published configurations say (v1-inference, sd_xl_base)
_COMMON: Final[dict[str, Any]] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "use_spatial_transformer": True,
    "use_checkpoint": False,
    "legacy": False,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
_SD15: Final[dict[str, Any]] = {
    **_COMMON,
    "channel_mult": [1, 2, 4, 4],
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "use_linear_in_transformer": False,
    "context_dim": 768,
    "num_heads": 8,
    "adm_in_channels": None,
}
UNETS: Final[dict[str, dict[str, Any]]] = {
    "sd15": _SD15,
    "sdxl": {
        **_COMMON,
        "channel_mult": [1, 2, 4],
        "num_res_blocks": [2, 2, 2],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_middle": 10,
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "use_linear_in_transformer": True,
        "context_dim": 2048,
        "num_head_channels": 64,
        "num_classes": "sequential",
        "adm_in_channels": 2816,
    },
    # for rehearsals on a processor: what ComfyUI still takes for SD 1.5, a quarter of its bytes
    "sd15-small": {
        **_SD15,
        "channel_mult": [1, 1],
        "num_res_blocks": [1, 1],
        "transformer_depth": [1, 0],
        "transformer_depth_output": [1, 1, 0, 0],
    },
}
_VAE: Final[dict[str, Any]] = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comfyui", type=Path, required=True, help="an installed ComfyUI")
    parser.add_argument(
        "--out", type=Path, help="folder of the files; default: ComfyUI's models/checkpoints"
    )
    parser.add_argument(
        "--only", action="append", choices=sorted(UNETS), help="this one; may be repeated"
    )
    parser.add_argument("--cpu", action="store_true", help="draw the weights on the processor")
    return parser.parse_args()


def _random(shape: Any, device: str) -> Any:
    """Half floats whose products stay near one: ``0.5 / sqrt(fan in)``."""
    import torch

    fan = shape[1:].numel()
    drawn = torch.randn(shape, device=device, dtype=torch.float32) * (0.5 / fan**0.5)
    return drawn.to(torch.float16).cpu().contiguous()


def _filled(shapes: dict[str, Any], device: str) -> dict[str, Any]:
    """Weights for every key: norms are neutral, matrices random, whole numbers count up."""
    import torch

    filled = {}
    for key, like in shapes.items():
        if not like.dtype.is_floating_point:
            filled[key] = torch.arange(like.numel(), dtype=like.dtype).reshape(like.shape)
        elif like.ndim >= 2:
            filled[key] = _random(like.shape, device)
        else:
            one = like.ndim == 0 or key.endswith("weight")
            filled[key] = torch.full(like.shape, float(one), dtype=torch.float16)
    return filled


def _weights(name: str, device: str) -> dict[str, Any]:
    """All of one checkpoint, as ComfyUI would save it."""
    import comfy.ops
    import comfy.supported_models
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    shape = {**UNETS[name], "dtype": torch.float16}
    known = comfy.supported_models
    config = (known.SDXL if name == "sdxl" else known.SD15)(dict(shape))
    with torch.device("meta"):
        unet = UNetModel(**shape, device="meta", operations=comfy.ops.disable_weight_init)
        vae = AutoencoderKL(ddconfig=_VAE, embed_dim=4)
    # text encoders are small, and not all versions of them can be made without storage
    clip = config.clip_target().clip(device="cpu", dtype=torch.float16, model_options={})
    return {
        **config.process_unet_state_dict_for_saving(_filled(unet.state_dict(), device)),
        **config.process_vae_state_dict_for_saving(_filled(vae.state_dict(), device)),
        **config.process_clip_state_dict_for_saving(_filled(clip.state_dict(), device)),
    }


def write() -> None:
    """Write what is not there yet, and say what it took."""
    options = _options()
    folder = options.out or options.comfyui / "models" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(options.comfyui.resolve()))
    # ComfyUI reads its own options from the command line
    sys.argv = [sys.argv[0], *(["--cpu"] if options.cpu else [])]
    import comfy.options

    comfy.options.enable_args_parsing()
    from safetensors.torch import save_file

    for name in options.only or ["sd15", "sdxl"]:
        file = folder / f"{name}.safetensors"
        if file.exists():
            print(f"{file}: there already", flush=True)
            continue
        began = time.monotonic()
        weights = _weights(name, "cpu" if options.cpu else "cuda")
        part = file.with_suffix(".part")
        # one tensor each: shared storage (tied weights) would be refused
        save_file({key: value.clone().contiguous() for key, value in weights.items()}, part)
        part.rename(file)
        size = file.stat().st_size
        took = time.monotonic() - began
        print(f"{file}: {len(weights)} keys, {size / 2**30:.2f} GiB, {took:.1f} s", flush=True)


if __name__ == "__main__":
    write()
