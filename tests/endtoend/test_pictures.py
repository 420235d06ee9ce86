"""What a user downloads is the user's alone: its graph and its names, whatever a worker shares."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.clients import Client, image_prompt
from tests.endtoend.stack import Stack

WORKFLOW = {"nodes": [{"id": 9, "widgets_values": ["shots/a"]}]}


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:
    """One worker, so that whatever it caches is there for everybody."""
    return start("--simulate", "gpus=1,vram=24GiB,workers=1,speed=20")


def preview_prompt(color: int) -> dict[str, Any]:
    graph = image_prompt(color, prefix="beside")
    return {**graph, "7": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}


async def pictures(client: Client, graph: dict[str, Any], note: str) -> list[dict[str, Any]]:
    """All pictures of a prompt, as a browser would open them."""
    extra = {"extra_pnginfo": {"workflow": {**WORKFLOW, "note": note}}}
    prompt_id = await client.queue(graph, extra_data=extra)
    entry = await client.ended(prompt_id)
    found = []
    for output in entry["outputs"].values():
        for image in output["images"]:
            body = await client.view(image)
            texts = Image.open(io.BytesIO(body)).info
            found.append({**image, "body": body, **{k: json.loads(v) for k, v in texts.items()}})
    return found


async def test_a_picture_carries_the_graph_as_it_was_posted(ann: Client) -> None:
    graph = image_prompt(0x336699, prefix="shots/take")
    (found,) = await pictures(ann, graph, "of ann")
    assert found["prompt"] == graph
    assert found["workflow"]["note"] == "of ann"
    assert b"vg/" not in found["body"]


async def test_an_uploads_name_in_it_is_the_users(ann: Client) -> None:
    form = aiohttp.FormData()
    body = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(body, "png")
    form.add_field("image", body.getvalue(), filename="plate.png")
    form.add_field("subfolder", "shots")
    async with ann.http.post(ann.url + "/upload/image", data=form, headers=ann.headers) as answer:
        assert answer.status == 200
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "shots/plate.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    (found,) = await pictures(ann, graph, "")
    assert found["prompt"] == graph
    assert b"vg/" not in found["body"]


async def test_an_identical_graph_never_brings_another_users_preview(
    ann: Client, bob: Client
) -> None:
    graph = preview_prompt(0x123456)
    anns = await pictures(ann, graph, "private to ann")
    bobs = await pictures(bob, graph, "private to bob")
    assert {found["type"] for found in bobs} == {"output", "temp"}
    for found in anns:
        assert found["workflow"]["note"] == "private to ann"
    for found in bobs:
        assert found["workflow"]["note"] == "private to bob"
        assert found["prompt"] == graph
        assert b"vg/" not in found["body"]
