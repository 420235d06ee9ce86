"""Nodes that need a model: imitated, with the memory and time they would take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from PIL import Image

from simulator.comfyui.catalog import ModelFile
from simulator.comfyui.device import DeviceOutOfMemory
from simulator.comfyui.model import (
    FAMILIES,
    reopen_seconds,
    tiled_vae_activation,
    tiled_vae_seconds,
    vae_activation,
    vae_seconds,
)
from simulator.comfyui.node import Inputs, NodeContext, NodeResult, Preview, Registry
from simulator.comfyui.painting import Previews, paint
from simulator.comfyui.saving import save_place
from simulator.comfyui.values import Conditioning, Images, Latent, Opaque, Weights, renamed

NODES = Registry()


async def _opened(context: NodeContext, files: Iterable[ModelFile]) -> tuple[ModelFile, ...]:
    needed = tuple(files)
    if not await context.device.load(needed):
        await context.device.wait(sum(reopen_seconds(file.size_bytes) for file in needed))
    return needed


@NODES.node(
    "CheckpointLoaderSimple",
    "CheckpointLoader",
    "unCLIPCheckpointLoader",
    # the stock frontend's table of loaders breaks on a server without it
    "ImageOnlyCheckpointLoader",
)
async def _load_checkpoint(context: NodeContext, inputs: Inputs) -> NodeResult:
    file = context.catalog.find("checkpoints", inputs["ckpt_name"])
    files = await _opened(context, [file])
    weights = Weights(context.key, files, file.family)
    vision = Opaque(context.key, "CLIP_VISION")
    outputs = context.definition["output"]
    return NodeResult(tuple(vision if kind == "CLIP_VISION" else weights for kind in outputs))


@NODES.node("LoraLoader", "LoraLoaderModelOnly")
async def _load_lora(context: NodeContext, inputs: Inputs) -> NodeResult:
    lora = context.catalog.find("loras", inputs["lora_name"])
    await context.device.load([lora])
    patched = [inputs[name] for name in ("model", "clip") if name in inputs]
    return NodeResult(
        tuple(
            Weights(f"{context.key}{number}", (*weights.files, lora), weights.family)
            for number, weights in enumerate(patched)
        )
    )


def _single_loader(folder: str, name_input: str) -> Callable[..., Any]:
    async def load(context: NodeContext, inputs: Inputs) -> NodeResult:
        name = inputs[name_input]
        if name == "pixel_space":
            return NodeResult((Weights(context.key, ()),))
        file = context.catalog.find(folder, name)
        return NodeResult((Weights(context.key, await _opened(context, [file]), file.family),))

    return load


for _class, _folder, _input in (
    ("VAELoader", "vae", "vae_name"),
    ("UNETLoader", "diffusion_models", "unet_name"),
    ("CLIPLoader", "text_encoders", "clip_name"),
    ("CLIPVisionLoader", "clip_vision", "clip_name"),
    ("ControlNetLoader", "controlnet", "control_net_name"),
    ("DiffControlNetLoader", "controlnet", "control_net_name"),
    ("StyleModelLoader", "style_models", "style_model_name"),
    ("GLIGENLoader", "gligen", "gligen_name"),
    ("UpscaleModelLoader", "upscale_models", "model_name"),
):
    NODES.node(_class)(_single_loader(_folder, _input))


@NODES.node("DualCLIPLoader")
async def _load_two_clips(context: NodeContext, inputs: Inputs) -> NodeResult:
    names = (inputs["clip_name1"], inputs["clip_name2"])
    files = await _opened(context, [context.catalog.find("text_encoders", n) for n in names])
    return NodeResult((Weights(context.key, files, "sdxl"),))


@NODES.node("CLIPTextEncode")
async def _encode_text(context: NodeContext, inputs: Inputs) -> NodeResult:
    clip: Weights = inputs["clip"]
    await context.device.load(clip.files)
    await context.device.compute(FAMILIES[clip.family].encode_s)
    return NodeResult((Conditioning(context.key),))


@NODES.node("ControlNetApply")
async def _apply_control(context: NodeContext, inputs: Inputs) -> NodeResult:
    return NodeResult((_controlled(context.key, inputs["conditioning"], inputs["control_net"]),))


@NODES.node("ControlNetApplyAdvanced")
async def _apply_control_to_both(context: NodeContext, inputs: Inputs) -> NodeResult:
    control = inputs["control_net"]
    positive = _controlled(f"{context.key}+", inputs["positive"], control)
    return NodeResult((positive, _controlled(f"{context.key}-", inputs["negative"], control)))


def _controlled(key: str, conditioning: Conditioning, control: Weights) -> Conditioning:
    return Conditioning(key, (*conditioning.files, *control.files))


@NODES.node("EmptyLatentImage")
async def _empty_latent(context: NodeContext, inputs: Inputs) -> NodeResult:
    size = (inputs["width"] // 8 * 8, inputs["height"] // 8 * 8)
    return NodeResult((Latent(context.key, *size, inputs["batch_size"]),))


@NODES.node("KSampler")
async def _sample(context: NodeContext, inputs: Inputs) -> NodeResult:
    return await _sampled(context, inputs, inputs["steps"])


@NODES.node("KSamplerAdvanced")
async def _sample_some(context: NodeContext, inputs: Inputs) -> NodeResult:
    last = min(inputs["end_at_step"], inputs["steps"])
    return await _sampled(context, inputs, max(0, last - inputs["start_at_step"]))


async def _sampled(context: NodeContext, inputs: Inputs, steps: int) -> NodeResult:
    model: Weights = inputs["model"]
    latent: Latent = inputs["latent_image"]
    family = FAMILIES[model.family]
    extra = inputs["positive"].files + inputs["negative"].files
    files = tuple(dict.fromkeys(model.files + extra))
    await context.device.load(files)
    context.device.activate(files, family.sampling(latent.pixels))
    # A ControlNet is about a third of the network once more.
    step_s = family.step_seconds(latent.pixels) * (1 + 0.3 * len(extra))
    previews = Previews(context.key, latent.width, latent.height)
    for step in range(1, steps + 1):
        await context.device.compute(step_s)
        context.report.progress(step, steps, Preview("JPEG", previews.jpeg(step / steps)))
    return NodeResult((renamed(latent, context.key),))


async def _run_vae(context: NodeContext, vae: Weights, pixels: int, *, tiled: bool) -> None:
    """Take the VAE's memory and time; out of memory it goes on in tiles, as ComfyUI does."""
    device, seconds = context.device, vae_seconds(pixels)
    await device.load(vae.files)
    if not tiled:
        try:
            device.activate(vae.files, vae_activation(pixels), fetches=False)
        except DeviceOutOfMemory:
            tiled = True
            device.fallback = "tiled"
    if tiled:
        device.activate(vae.files, tiled_vae_activation(pixels), fetches=False)
        seconds = tiled_vae_seconds(pixels)
    await device.compute(seconds)


@NODES.node("VAEDecode", "VAEDecodeTiled")
async def _decode(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    tiled = context.class_type.endswith("Tiled")
    await _run_vae(context, inputs["vae"], latent.pixels, tiled=tiled)

    def all_of_them() -> Images:
        size = (latent.width, latent.height)
        return [paint(latent.key, number, *size) for number in range(latent.batch)]

    return NodeResult((await context.work(latent.pixels, all_of_them),))


@NODES.node("VAEEncode", "VAEEncodeTiled", "VAEEncodeForInpaint")
async def _encode(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent = _as_latent(context.key, inputs["pixels"])
    tiled = context.class_type.endswith("Tiled")
    await _run_vae(context, inputs["vae"], latent.pixels, tiled=tiled)
    return NodeResult((latent,))


@NODES.node("InpaintModelConditioning")
async def _inpaint(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent = _as_latent(context.key, inputs["pixels"])
    await _run_vae(context, inputs["vae"], latent.pixels, tiled=False)
    positive = renamed(inputs["positive"], f"{context.key}+")
    return NodeResult((positive, renamed(inputs["negative"], f"{context.key}-"), latent))


def _as_latent(key: str, images: list[Image.Image]) -> Latent:
    width, height = images[0].size
    return Latent(key, max(8, width // 8 * 8), max(8, height // 8 * 8), len(images))


@NODES.node("LatentUpscale")
async def _latent_upscale(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    width, height = inputs["width"] // 8 * 8, inputs["height"] // 8 * 8
    if not width and not height:
        return NodeResult((latent,))
    width = width or max(64, latent.width * height // latent.height // 8 * 8)
    height = height or max(64, latent.height * width // latent.width // 8 * 8)
    return NodeResult((Latent(context.key, width, height, latent.batch),))


@NODES.node("LatentUpscaleBy")
async def _latent_upscale_by(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    width = max(8, round(latent.width / 8 * inputs["scale_by"]) * 8)
    height = max(8, round(latent.height / 8 * inputs["scale_by"]) * 8)
    return NodeResult((Latent(context.key, width, height, latent.batch),))


@NODES.node("LatentFromBatch")
async def _latent_from_batch(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    first = min(inputs["batch_index"], latent.batch - 1)
    batch = min(inputs["length"], latent.batch - first)
    return NodeResult((Latent(context.key, latent.width, latent.height, batch),))


@NODES.node("RepeatLatentBatch")
async def _repeat_latent(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    batch = latent.batch * inputs["amount"]
    return NodeResult((Latent(context.key, latent.width, latent.height, batch),))


@NODES.node("LatentRotate")
async def _rotate_latent(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    size = (latent.width, latent.height)
    if inputs["rotation"].startswith(("90", "270")):
        size = (latent.height, latent.width)
    return NodeResult((Latent(context.key, *size, latent.batch),))


@NODES.node("LatentCrop")
async def _crop_latent(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    width = min(inputs["width"] // 8 * 8, latent.width)
    height = min(inputs["height"] // 8 * 8, latent.height)
    return NodeResult((Latent(context.key, width, height, latent.batch),))


@NODES.node("LatentComposite", "LatentBlend", "LatentFlip", "SetLatentNoiseMask")
async def _same_size_latent(context: NodeContext, inputs: Inputs) -> NodeResult:
    names = ("samples_to", "samples1", "samples")
    latent = next(inputs[name] for name in names if name in inputs)
    return NodeResult((renamed(latent, context.key),))


@NODES.node("SaveLatent")
async def _save_latent(context: NodeContext, inputs: Inputs) -> NodeResult:
    latent: Latent = inputs["samples"]
    place = save_place(context.folders.output, inputs["filename_prefix"], 0, 0)
    name = place.file_name(0, ".latent")
    (place.folder / name).write_text(
        json.dumps([latent.key, latent.width, latent.height, latent.batch])
    )
    file = {"filename": name, "subfolder": place.subfolder, "type": "output"}
    return NodeResult((), {"latents": [file]})


@NODES.node("LoadLatent")
async def _load_latent(context: NodeContext, inputs: Inputs) -> NodeResult:
    key, *size = json.loads(context.folders.resolve(inputs["latent"]).read_text())
    return NodeResult((Latent(key, *size),))


async def run_by_types(context: NodeContext, inputs: Inputs) -> NodeResult:
    """Any other node: an output is the first input of its type, with a new history.

    That is what the nodes around conditioning do, as far as memory, time and
    sizes go.
    """
    types = {
        name: config[0]
        for section in ("required", "optional")
        for name, config in context.definition["input"].get(section, {}).items()
    }
    outputs = []
    for number, kind in enumerate(context.definition["output"]):
        source = next((inputs[n] for n in types if types[n] == kind and n in inputs), None)
        key = f"{context.key}.{number}"
        fresh = Conditioning(key) if kind == "CONDITIONING" else Opaque(key, str(kind))
        outputs.append(fresh if source is None else renamed(source, key))
    return NodeResult(tuple(outputs))
