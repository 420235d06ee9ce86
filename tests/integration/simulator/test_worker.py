"""What the recordings do not show: pictures, caches, broken graphs, restarts."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from simulator.comfyui.catalog import Catalog, ModelFile
from tests.integration.simulator.conftest import StartWorker
from tests.integration.simulator.prompts import (
    Studio,
    error,
    node,
    picture,
    stable_diffusion,
    status,
)


async def view(studio: Studio, file: dict[str, Any], **query: str) -> Image.Image:
    answer = await studio.client.get("/view", params={**file, **query})
    assert answer.status == 200
    return Image.open(io.BytesIO(await answer.read()))


async def test_a_saved_picture_holds_the_prompt_and_the_workflow(
    start_worker: StartWorker,
) -> None:
    studio = await Studio.open(await start_worker())
    prompt = picture(0x102030)
    entry = await studio.run(prompt, extra_data={"extra_pnginfo": {"workflow": {"id": "w"}}})
    image = await view(studio, entry["outputs"]["2"]["images"][0])
    assert image.getpixel((0, 0)) == (0x10, 0x20, 0x30)
    assert json.loads(image.info["prompt"]) == prompt
    assert json.loads(image.info["workflow"]) == {"id": "w"}


async def test_the_same_seed_paints_the_same_picture_on_every_worker(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    async def painted(folder: str, seed: int) -> bytes:
        studio = await Studio.open(await start_worker(data_dir=tmp_path / folder))
        entry = await studio.run(stable_diffusion(side=256, seed=seed))
        return (await view(studio, entry["outputs"]["9"]["images"][0])).tobytes()

    first = await painted("a", 7)
    assert await painted("b", 7) == first
    assert await painted("c", 8) != first


async def test_a_batch_has_different_pictures_of_the_right_size(
    start_worker: StartWorker,
) -> None:
    studio = await Studio.open(await start_worker())
    entry = await studio.run(stable_diffusion(side=128, batch=3))
    images = [await view(studio, file) for file in entry["outputs"]["9"]["images"]]
    assert [image.size for image in images] == [(128, 128)] * 3
    assert len({image.tobytes() for image in images}) == 3


async def test_previews_are_pictures_that_end_at_the_result(start_worker: StartWorker) -> None:
    studio = await Studio.open(await start_worker(), metadata=True)
    await studio.run(stable_diffusion(steps=4))
    previews = [frame for frame in studio.frames if isinstance(frame, bytes)]
    assert len(previews) == 4
    for preview in previews:
        event, length = struct.unpack_from(">II", preview)
        assert event == 4
        assert Image.open(io.BytesIO(preview[8 + length :])).format == "JPEG"


async def test_a_loaded_picture_is_cached_by_its_content(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    studio = await Studio.open(await start_worker())
    path = tmp_path / "ComfyUI" / "input" / "mine.png"
    prompt = {
        "1": node("LoadImage", image="mine.png"),
        "2": node("PreviewImage", images=["1", 0]),
    }
    Image.new("RGB", (8, 8), "red").save(path)
    await studio.run(prompt)
    await studio.run(prompt)
    assert studio.cached() == ["1", "2"]
    Image.new("RGB", (8, 8), "blue").save(path)
    entry = await studio.run(prompt)
    assert studio.cached() == []
    shown = await view(studio, entry["outputs"]["2"]["images"][0])
    assert shown.getpixel((0, 0)) == (0, 0, 255)


async def test_transparency_becomes_the_mask(start_worker: StartWorker, tmp_path: Path) -> None:
    studio = await Studio.open(await start_worker())
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 55))
    image.save(tmp_path / "ComfyUI" / "input" / "mask.png")
    entry = await studio.run(
        {
            "1": node("LoadImageMask", image="mask.png", channel="red"),
            "2": node("LoadImage", image="mask.png"),
            "3": node("SaveImage", images=["2", 0], filename_prefix="x"),
            "4": node("PreviewAny", source=["1", 0]),
        }
    )
    assert (await view(studio, entry["outputs"]["3"]["images"][0])).mode == "RGB"


async def test_a_failed_node_leaves_what_ran_before_it_cached(start_worker: StartWorker) -> None:
    studio = await Studio.open(await start_worker())
    prompt = picture() | {
        "3": node("ImageScaleBy", image=["1", 0], upscale_method="bilinear", scale_by=0.01),
        "4": node("SaveImage", images=["3", 0], filename_prefix="q"),
    }
    failed = await studio.run(prompt)
    assert error(failed)["exception_type"] == "RuntimeError"
    assert error(failed)["node_id"] == "3"
    assert set(failed["outputs"]) == {"2"}
    await studio.run(prompt)
    assert studio.cached() == ["1", "2"]


async def test_the_worker_survives_whatever_a_node_raises(start_worker: StartWorker) -> None:
    studio = await Studio.open(await start_worker(lab_nodes=True))
    prompt = {"1": node("LabFail", message="x", n=1), "2": node("LabSink", a=["1", 0])}
    assert error(await studio.run(prompt))["exception_message"] == "x\n"
    assert status(await studio.run(picture())) == "success"


async def test_every_offered_class_runs(start_worker: StartWorker, tmp_path: Path) -> None:
    folders = ("style_models", "gligen", "diffusers")
    more = [ModelFile(folder, folder.removesuffix("_models"), 1) for folder in folders]
    studio = await Studio.open(await start_worker(catalog=Catalog((*Catalog().files, *more))))
    (tmp_path / "ComfyUI" / "input" / "l.latent").write_text('["k", 64, 64, 1]')
    definitions = await studio.json("/object_info")
    failed = {}
    for name in definitions:
        prompt = _feed(name, definitions)
        entry = await studio.run(prompt)
        if status(entry) != "success":
            failed[name] = error(entry)["exception_message"]
    assert failed == {}


def _feed(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A graph that runs a class."""
    prompt: dict[str, Any] = dict(_SOURCES)
    inputs = {}
    for key, (kind, *options) in definitions[name]["input"].get("required", {}).items():
        if isinstance(kind, list):
            inputs[key] = kind[0]
        elif kind in _SOCKETS:
            inputs[key] = _SOCKETS[kind]
        elif kind == "COMBO":
            inputs[key] = "example.png [input]"
        else:
            inputs[key] = options[0].get("default", "x") if options else "x"
    prompt["node"] = node(name, **inputs)
    if not definitions[name]["output_node"]:
        for number in range(len(definitions[name]["output"])):
            prompt[f"out{number}"] = node("PreviewAny", source=["node", number])
    return prompt


_SOURCES = {
    "ckpt": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
    "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
    "text": node("CLIPTextEncode", text="x", clip=["ckpt", 1]),
    "image": node("LoadImage", image="example.png"),
    "control": node("ControlNetLoader", control_net_name="control_v11p_sd15_canny.safetensors"),
    "vision": node("CLIPVisionLoader", clip_name="clip_vision_h.safetensors"),
    "seen": node("CLIPVisionEncode", clip_vision=["vision", 0], image=["image", 0], crop="none"),
    "style": node("StyleModelLoader", style_model_name="style"),
    "gligen": node("GLIGENLoader", gligen_name="gligen"),
    "up": node("UpscaleModelLoader", model_name="RealESRGAN_x4plus.pth"),
}
_SOCKETS = {
    "MODEL": ["ckpt", 0],
    "CLIP": ["ckpt", 1],
    "VAE": ["ckpt", 2],
    "LATENT": ["latent", 0],
    "CONDITIONING": ["text", 0],
    "IMAGE": ["image", 0],
    "MASK": ["image", 1],
    "CONTROL_NET": ["control", 0],
    "CLIP_VISION": ["vision", 0],
    "CLIP_VISION_OUTPUT": ["seen", 0],
    "UPSCALE_MODEL": ["up", 0],
    "*": ["image", 0],
    "STYLE_MODEL": ["style", 0],
    "GLIGEN": ["gligen", 0],
}


async def test_every_get_route_answers_head_bare_and_under_api(start_worker: StartWorker) -> None:
    client = await start_worker()
    for path in ("/queue", "/history", "/object_info", "/system_stats", "/users", "/models"):
        for prefix in ("", "/api"):
            answer = await client.head(prefix + path)
            assert (answer.status, await answer.read()) == (200, b"")


async def test_there_is_no_frontend(start_worker: StartWorker) -> None:
    client = await start_worker()
    assert (await client.get("/")).status == 404


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://gateway", 403), ("http://127.0.0.1", 200), ("http://127.0.0.1:1", 403)],
)
async def test_a_foreign_origin_is_refused(
    start_worker: StartWorker, origin: str, status: int
) -> None:
    client = await start_worker()
    assert (await client.get("/queue", headers={"Origin": origin})).status == status


async def test_an_upload_over_the_limit_is_refused(start_worker: StartWorker) -> None:
    client = await start_worker()
    body = {"image": io.BytesIO(b"\0" * (100 * 2**20 + 1))}
    assert (await client.post("/upload/image", data=body)).status == 413


async def test_files_and_settings_survive_a_restart_and_temp_does_not(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    client = await start_worker()
    studio = await Studio.open(client)
    await client.post("/settings/Comfy.Foo", json=1)
    preview = {"3": node("PreviewImage", images=["1", 0])}
    entry = await studio.run(picture() | preview)
    saved = entry["outputs"]["2"]["images"][0]
    shown = entry["outputs"]["3"]["images"][0]
    await client.close()
    assert not (tmp_path / "ComfyUI" / "temp").exists()

    again = await Studio.open(await start_worker())
    assert (await view(again, saved)).size == (16, 16)
    assert (await again.client.get("/view", params=shown)).status == 404
    assert await again.json("/settings") == {"Comfy.Foo": 1}
    assert await again.json("/history") == {}
    new = (await again.run(picture()))["outputs"]["2"]["images"][0]
    assert new["filename"] == "p_00002_.png"


async def test_a_long_chain_of_short_nodes_can_be_interrupted(start_worker: StartWorker) -> None:
    """ComfyUI executes beside its server: requests get through between nodes."""
    client = await start_worker()
    picture = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
    prompt: dict[str, Any] = {"0": {"class_type": "EmptyImage", "inputs": picture}}
    for n in range(1, 400):
        prompt[str(n)] = {"class_type": "ImageInvert", "inputs": {"image": [str(n - 1), 0]}}
    prompt["save"] = {"class_type": "PreviewImage", "inputs": {"images": ["399", 0]}}
    posted = await client.post("/prompt", json={"prompt": prompt})
    prompt_id = (await posted.json())["prompt_id"]
    await client.post("/interrupt", json={"prompt_id": prompt_id})
    while not (history := await (await client.get(f"/history/{prompt_id}")).json()):
        await asyncio.sleep(0.01)
    assert history[prompt_id]["status"]["messages"][-1][0] == "execution_interrupted"
