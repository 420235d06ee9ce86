"""The call sequences of ComfyUI's well-known example scripts, request for request."""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp
from PIL import Image

from tests.clients import Client, image_prompt, sampling_prompt
from tests.endtoend.test_path import colour


async def wait_for_null(ws: aiohttp.ClientWebSocketResponse, prompt_id: str) -> list[bytes]:
    """Read the socket until ``executing`` null of this prompt, as the scripts do; binaries heard."""
    heard: list[bytes] = []
    while True:
        message = await ws.receive(timeout=60)
        if message.type is aiohttp.WSMsgType.TEXT:
            frame = json.loads(message.data)
            if frame["type"] == "executing":
                data = frame["data"]
                if data["node"] is None and data["prompt_id"] == prompt_id:
                    return heard
        else:
            heard.append(message.data)


async def test_wait_on_the_socket_then_history_then_each_picture(ann: Client) -> None:
    async with ann.socket() as socket:
        prompt_id = await ann.queue(sampling_prompt(seed=1, steps=3, batch=2))
        heard = await wait_for_null(socket.ws, prompt_id)
    assert {body[:8] for body in heard} == {b"\0\0\0\1\0\0\0\1"}, (
        "previews of a client without flags"
    )
    entry = (await ann.get(f"/history/{prompt_id}"))[prompt_id]
    pictures = [
        await ann.view(image) for node in entry["outputs"].values() for image in node["images"]
    ]
    assert [Image.open(io.BytesIO(picture)).size for picture in pictures] == [(512, 512)] * 2


async def test_a_batch_of_prompts_on_one_socket_each_waited_for(ann: Client) -> None:
    async with ann.socket() as socket:
        for shade in range(4):
            prompt_id = await ann.queue(image_prompt(shade, prefix="batch"))
            await wait_for_null(socket.ws, prompt_id)
            # at once, as the scripts do: the entry must be there
            entry = (await ann.get(f"/history/{prompt_id}"))[prompt_id]
            (image,) = entry["outputs"]["2"]["images"]
            assert colour(await ann.view(image)) == (0, 0, shade)


async def test_an_upload_is_loaded_under_the_name_that_the_answer_gave(ann: Client) -> None:
    names = []
    for shade in ((1, 2, 3), (4, 5, 6)):
        out = io.BytesIO()
        Image.new("RGB", (16, 16), shade).save(out, "PNG")
        form = aiohttp.FormData({"type": "input", "overwrite": "false"})
        form.add_field("image", out.getvalue(), filename="script.png", content_type="image/png")
        async with ann.http.post(
            ann.url + "/upload/image", data=form, headers=ann.headers
        ) as answer:
            names.append((await answer.json())["name"])
    assert names == ["script.png", "script (1).png"]
    for name, shade in zip(names, ((1, 2, 3), (4, 5, 6)), strict=True):
        graph: dict[str, Any] = {
            "1": {"class_type": "LoadImage", "inputs": {"image": name}},
            "2": {
                "class_type": "SaveImage",
                "inputs": {"images": ["1", 0], "filename_prefix": "x"},
            },
        }
        async with ann.socket() as socket:
            prompt_id = await ann.queue(graph)
            await wait_for_null(socket.ws, prompt_id)
        (image,) = await ann.images(prompt_id)
        assert colour(await ann.view(image)) == shade


async def test_an_interrupt_without_a_body_ends_the_wait(ann: Client) -> None:
    async with ann.socket() as socket:
        prompt_id = await ann.queue(sampling_prompt(seed=2, steps=5000))
        while (await socket.ws.receive(timeout=60)).type is not aiohttp.WSMsgType.BINARY:
            continue
        async with ann.http.post(ann.url + "/interrupt", headers=ann.headers) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        await wait_for_null(socket.ws, prompt_id)
    entry = (await ann.get(f"/history/{prompt_id}"))[prompt_id]
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_a_queue_that_is_polled_until_it_is_empty_has_its_history(ann: Client) -> None:
    prompt_id = await ann.queue(image_prompt(7, prefix="polled"))
    while (await ann.get("/prompt"))["exec_info"]["queue_remaining"]:
        continue
    assert prompt_id in await ann.get("/history")
