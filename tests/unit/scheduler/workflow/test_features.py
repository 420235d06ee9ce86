"""Features say what a graph will need before it runs."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.workflow.features import Features, features
from scheduler.workflow.shapes import ASSUMED_SIDE

Prompt = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def sampler(latent: str, **changed: Any) -> dict[str, Any]:
    inputs = {
        "model": ["ckpt", 0],
        "steps": 20,
        "sampler_name": "euler",
        "latent_image": [latent, 0],
    }
    return node("KSampler", **inputs | changed)


def txt2img(width: int = 512, height: int = 512, batch: int = 1) -> Prompt:
    return {
        "ckpt": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
        "text": node("CLIPTextEncode", text="a", clip=["ckpt", 1]),
        "latent": node("EmptyLatentImage", width=width, height=height, batch_size=batch),
        "sample": sampler("latent", positive=["text", 0]),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["ckpt", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="x"),
    }


def test_a_plain_picture_has_its_size_steps_sampler_and_model() -> None:
    found = features(txt2img(640, 512, 3), sizes={"checkpoints/sd15.safetensors": 7})
    assert found.models == ("checkpoints/sd15.safetensors",)
    assert found.model_bytes == (7,)
    assert found.latent_pixels == 640 * 512 * 3
    assert found.batch == 3
    assert found.decode_pixels == 640 * 512
    assert found.vae_pixels == 640 * 512 * 3
    assert (found.steps, found.sampler, found.family) == (20, "euler", "sd15")
    assert found.needs_gpu


def test_only_what_the_outputs_reach_counts() -> None:
    prompt = txt2img() | {
        "other": node("CheckpointLoaderSimple", ckpt_name="unused.safetensors"),
        "big": node("EmptyLatentImage", width=4096, height=4096, batch_size=1),
    }
    info = {"SaveImage": {"output_node": True}}
    assert features(prompt, info) == features(txt2img(), info)
    assert features(prompt, outputs=["save"]) == features(txt2img())


@pytest.mark.parametrize(
    ("extra", "pixels"),
    [
        (node("LatentUpscaleBy", samples=["sample", 0], scale_by=1.5), 768 * 768),
        (node("LatentUpscale", samples=["sample", 0], width=1024, height=768), 1024 * 768),
        (node("LatentUpscale", samples=["sample", 0], width=1024, height=0), 1024 * 1024),
        (node("LatentUpscale", samples=["sample", 0], width=0, height=0), 512 * 512),
        (node("RepeatLatentBatch", samples=["sample", 0], amount=4), 512 * 512 * 4),
        (node("LatentFromBatch", samples=["sample", 0], batch_index=0, length=1), 512 * 512),
    ],
)
def test_a_second_pass_is_sampled_at_its_own_size(extra: dict[str, Any], pixels: int) -> None:
    prompt = txt2img() | {"up": extra, "again": sampler("up")}
    prompt["decode"]["inputs"]["samples"] = ["again", 0]
    found = features(prompt)
    assert found.latent_pixels == pixels
    assert found.steps == 40


@pytest.mark.parametrize(
    ("extra", "size"),
    [
        (node("ImageScale", image=["load", 0], width=640, height=480), 640 * 480),
        (node("ImageScaleBy", image=["load", 0], scale_by=0.5), 300 * 200),
        (node("ImageScaleToTotalPixels", image=["load", 0], megapixels=1.0), 1254 * 836),
        (
            node("ImagePadForOutpaint", image=["load", 0], left=40, top=0, right=0, bottom=100),
            640 * 500,
        ),
        (node("ImageUpscaleWithModel", image=["load", 0], upscale_model=["4x", 0]), 2400 * 1600),
        (node("ImageUpscaleWithModel", image=["load", 0], upscale_model=["2x", 0]), 1200 * 800),
        (node("ImageUpscaleWithModel", image=["load", 0], upscale_model=["?", 0]), 2400 * 1600),
    ],
)
def test_a_loaded_picture_is_followed_into_the_vae(extra: dict[str, Any], size: int) -> None:
    prompt = txt2img() | {
        "load": node("LoadImage", image="pic.png [input]"),
        "4x": node("UpscaleModelLoader", model_name="4x-UltraSharp.pth"),
        "2x": node("UpscaleModelLoader", model_name="RealESRGAN_x2.pth"),
        "?": node("UpscaleModelLoader", model_name="best.pth"),
        "resize": extra,
        "latent": node("VAEEncode", pixels=["resize", 0], vae=["ckpt", 2]),
    }
    found = features(prompt, image_sizes={"pic.png": (600, 400)})
    assert found.latent_pixels == size
    assert found.decode_pixels == size


def test_a_picture_of_unknown_size_is_assumed_to_be_of_sdxl_size() -> None:
    prompt = txt2img() | {
        "load": node("LoadImage", image="pic.png"),
        "latent": node("VAEEncode", pixels=["load", 0], vae=["ckpt", 2]),
    }
    assert features(prompt).latent_pixels == ASSUMED_SIDE**2


def test_a_control_picture_does_not_size_what_is_sampled() -> None:
    prompt = txt2img() | {
        "load": node("LoadImage", image="pic.png"),
        "net": node("ControlNetLoader", control_net_name="canny.pth"),
        "control": node(
            "ControlNetApply", conditioning=["text", 0], control_net=["net", 0], image=["load", 0]
        ),
        "sample": sampler("latent", positive=["control", 0]),
    }
    found = features(prompt, image_sizes={"pic.png": (4000, 4000)})
    assert found.latent_pixels == 512 * 512
    assert "controlnet/canny.pth" in found.models


def test_frames_of_a_video_count_and_its_vae_works_in_chunks() -> None:
    prompt = txt2img()
    prompt["latent"] = node(
        "EmptyHunyuanLatentVideo", width=848, height=480, length=25, batch_size=1
    )
    found = features(prompt)
    assert found.latent_pixels == 848 * 480 * 25
    assert (found.frames, found.batch) == (25, 1)
    assert found.vae_pixels == 848 * 480 * 5


def test_a_tiled_decode_costs_a_tile() -> None:
    prompt = txt2img(2048, 2048)
    prompt["decode"] = node("VAEDecodeTiled", samples=["sample", 0], vae=["ckpt", 2], tile_size=768)
    assert features(prompt).vae_pixels == 768 * 768


def test_sizes_come_through_a_primitive_node() -> None:
    prompt = txt2img() | {"side": node("PrimitiveInt", value=768)}
    prompt["latent"]["inputs"] |= {"width": ["side", 0], "height": ["side", 0]}
    assert features(prompt).latent_pixels == 768 * 768


def test_two_batches_of_pictures_add_up() -> None:
    prompt = {
        "a": node("EmptyImage", width=64, height=64, batch_size=2, color=0),
        "b": node("EmptyImage", width=64, height=64, batch_size=3, color=0),
        "both": node("ImageBatch", image1=["a", 0], image2=["b", 0]),
        "save": node("SaveImage", images=["both", 0]),
    }
    assert features(prompt).latent_pixels == 64 * 64 * 5


def test_custom_samplers_take_steps_and_name_from_their_neighbours() -> None:
    prompt = txt2img() | {
        "unet": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="fp8_e4m3fn"),
        "sigmas": node("BasicScheduler", model=["unet", 0], steps=8, scheduler="normal"),
        "choice": node("KSamplerSelect", sampler_name="dpmpp_2m"),
        "sample": node(
            "SamplerCustomAdvanced",
            sampler=["choice", 0],
            sigmas=["sigmas", 0],
            latent_image=["latent", 0],
        ),
    }
    found = features(prompt)
    assert (found.steps, found.sampler) == (8, "dpmpp_2m")
    assert (found.family, found.weight_dtype) == ("flux", "fp8_e4m3fn")


def test_a_sampler_that_starts_late_runs_fewer_steps() -> None:
    prompt = txt2img()
    prompt["sample"] = sampler("latent", start_at_step=5, end_at_step=10000)
    assert features(prompt).steps == 15
    prompt["sample"] = sampler("latent", start_at_step=0, end_at_step=12)
    assert features(prompt).steps == 12


def test_models_are_named_by_folder_in_load_order_and_once() -> None:
    prompt = {
        "unet": node("UNETLoader", unet_name="u.safetensors"),
        "clip": node("DualCLIPLoader", clip_name1="l.safetensors", clip_name2="t5.safetensors"),
        "clip2": node("CLIPLoader", clip_name="l.safetensors"),
        "vision": node("CLIPVisionLoader", clip_name="v.safetensors"),
        "vae": node("VAELoader", vae_name="pixel_space"),
        "up": node("UpscaleModelLoader", model_name="4x.pth"),
        "stack": node(
            "Power Lora Loader",
            lora_1={"on": True, "lora": "a.pt"},
            lora_2={"on": False, "lora": "b.pt"},
        ),
        "odd": node("OddLoader", file="m.onnx", text="not.a.model"),
        "lora": node("LoraLoader", lora_name="None"),
    }
    assert features(prompt).models == (
        "diffusion_models/u.safetensors",
        "text_encoders/l.safetensors",
        "text_encoders/t5.safetensors",
        "clip_vision/v.safetensors",
        "upscale_models/4x.pth",
        "loras/a.pt",
        "other/m.onnx",
    )


@pytest.mark.parametrize(
    ("name", "size", "family"),
    [
        ("v1-5-pruned.safetensors", 0, "sd15"),
        ("juggernautXL.safetensors", 0, "sdxl"),
        ("ponyDiffusion.safetensors", 0, "sdxl"),
        ("flux1-schnell.safetensors", 0, "flux"),
        ("mine.safetensors", 2_132_625_150, "sd15"),
        ("mine.safetensors", 6_938_041_144, "sdxl"),
        ("mine.safetensors", 17_000_000_000, "flux"),
        ("mine.safetensors", 5_000_000_000, "unknown"),
        ("mine.safetensors", 0, "unknown"),
    ],
)
def test_the_family_is_guessed_by_name_and_then_by_size(name: str, size: int, family: str) -> None:
    prompt = txt2img()
    prompt["ckpt"]["inputs"]["ckpt_name"] = name
    assert features(prompt, sizes={f"checkpoints/{name}": size} if size else {}).family == family


def pictures(class_type: str) -> Features:
    prompt = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=0),
        "2": node(class_type, image=["1", 0]),
        "3": node("SaveImage", images=["2", 0]),
    }
    info = {
        "EmptyImage": {"python_module": "nodes"},
        "SaveImage": {"python_module": "nodes", "output_node": True},
        "ImageInvert": {"python_module": "nodes"},
        "Canny": {"python_module": "comfy_extras.nodes_canny"},
        "Custom": {"python_module": "custom_nodes.pack"},
        "Remote": {"python_module": "custom_nodes.pack", "api_node": True},
    }
    return features(prompt, info)


def test_a_graph_of_plain_nodes_needs_no_gpu_and_one_of_custom_nodes_may() -> None:
    assert not pictures("ImageInvert").needs_gpu
    assert not pictures("Remote").needs_gpu
    assert pictures("Canny").needs_gpu
    assert pictures("Custom").needs_gpu


def test_without_object_info_only_well_known_nodes_are_gpu_free() -> None:
    prompt = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=0),
        "2": node("SaveImage", images=["1", 0]),
    }
    assert not features(prompt).needs_gpu
    prompt["3"] = node("SomethingElse", images=["1", 0])
    assert features(prompt).needs_gpu


def test_a_malformed_graph_has_features_too() -> None:
    prompt: dict[str, Any] = {
        "a": None,
        "b": {"class_type": 3, "inputs": []},
        "c": node("X", x=["d", 0], width=float("nan"), height=True),
        "d": node("Y", y=["c", 0], width=float("inf"), height=10**400),
        "e": node("Z", z=["d", 0], q=["nowhere", 0]),
    }
    assert features(prompt).steps == 0


def test_a_chain_of_5000_nodes_is_followed_without_recursion() -> None:
    prompt = {"0": node("EmptyImage", width=8, height=8, batch_size=1)}
    for i in range(1, 5000):
        prompt[str(i)] = node("ImageInvert", image=[str(i - 1), 0])
    assert features(prompt).latent_pixels == 64
