"""The same requests to a real ComfyUI and to the gateway in front of it: what differs?

Opt-in: COMFYUI_URL names one of version 0.3.64 with a small Stable Diffusion 1.5 checkpoint.
Prompts that kill or wedge the real one (``extra_data`` that is no object, ``client_id`` that
cannot be hashed) are sent through the gateway alone.
"""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from tests.clients import Client, Socket, image_prompt, sampling_prompt
from tests.endtoend.conftest import ANN
from tests.endtoend.stack import Stack
from tests.endtoend.test_path import colour

COMFYUI = os.environ.get("COMFYUI_URL", "")
pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.skipif(not COMFYUI, reason="COMFYUI_URL names no real ComfyUI"),
]
#: frames that the gateway may leave out or send otherwise: its own counts, and coalesced states
OWN = ("status", "progress_state", "feature_flags")


@pytest.fixture(scope="module")
def stack(start: Callable[..., Stack]) -> Stack:
    return start("--worker", COMFYUI)


@pytest.fixture
def both(stack: Stack, http: aiohttp.ClientSession) -> tuple[Client, Client]:
    """Straight to it, and through the gateway."""
    return Client(http, COMFYUI), Client(http, stack.url, {"X-API-Key": ANN})


async def ask(client: Client, method: str, path: str, data: bytes | None = None) -> Any:
    url = URL(client.url + path, encoded=True)
    async with client.http.request(method, url, data=data, headers=client.headers) as answer:
        body = await answer.read()
        return answer.status, answer.content_type, body


@pytest.mark.parametrize(
    "path",
    [
        "/prompt",
        "/queue",
        "/history?max_items=1",
        "/history/nope",
        "/object_info/KSampler",
        "/object_info/Nope",
        "/models/checkpoints",
        "/models/nope",
        "/embeddings",
        "/extensions",
        "/users",
        "/settings/nope",
        "/userdata?dir=nope",
        "/userdata/..%2fx",
        "/view",
        "/view?filename=",
        "/view?filename=nope.png",
        "/view?filename=..%2fx.png",
        "/view?filename=x&type=bad",
        "/view?filename=x&subfolder=..",
        "/view_metadata/checkpoints?filename=nope",
        "/internal/files/bad",
    ],
)
async def test_a_get_answers_alike(both: tuple[Client, Client], path: str) -> None:
    real, ours = [await ask(client, "GET", path) for client in both]
    assert ours[0] == real[0]
    if real[2]:
        assert ours[1] == real[1]
        if path.startswith(("/object_info", "/models", "/embeddings", "/extensions")):
            assert json.loads(ours[2]) == json.loads(real[2])


@pytest.mark.parametrize(
    "prompt",
    [
        {"1": {"class_type": "Nope", "inputs": {}}},
        {"1": {"inputs": {}}},
        {"1": {"class_type": "SaveImage", "inputs": {}}},
        {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}},
        *(image_prompt() | {"1": {"class_type": "EmptyImage", "inputs": inputs}} for inputs in (
            {"width": "wide", "height": 64, "batch_size": 1, "color": 0},
            {"width": 0, "height": 64, "batch_size": 1, "color": 0},
            {"width": 64, "height": 10**9, "batch_size": 1, "color": 0},
            {"width": ["1", 0], "height": 64, "batch_size": 1, "color": 0},
        )),
        sampling_prompt(checkpoint="nope.safetensors"),
        sampling_prompt(checkpoint="lab_random_sd15.safetensors", steps=0),
    ],
    ids=str,
)  # fmt: skip
async def test_a_refusal_says_the_same(both: tuple[Client, Client], prompt: dict[str, Any]) -> None:
    data = json.dumps({"prompt": prompt}).encode()
    real, ours = [await ask(client, "POST", "/prompt", data) for client in both]
    assert ours[:2] == real[:2]
    said, expected = json.loads(ours[2]), json.loads(real[2])
    assert in_one_order(said) == in_one_order(expected)


def in_one_order(said: Any) -> Any:
    """ComfyUI judges inputs in an order that changes with each start."""
    told = without_traces(said)
    told["error"]["details"] = sorted(told["error"]["details"].split("\n"))
    for node in told["node_errors"].values():
        node["errors"].sort(key=str)
    return told


def without_traces(value: Any) -> Any:
    """The gateway does not show the worker's tracebacks."""
    if isinstance(value, dict):
        return {k: without_traces(v) for k, v in value.items() if k != "traceback"}
    return [without_traces(v) for v in value] if isinstance(value, list) else value


async def checkpoint(client: Client) -> str:
    return str((await client.get("/models/checkpoints"))[0])


def outline(socket: Socket) -> list[tuple[str, str]]:
    """Which frames came about which node, in their order."""
    return [
        (frame["type"], str(frame["data"].get("node", "")))
        for frame in socket.frames
        if frame["type"] not in OWN
    ]


@pytest.mark.parametrize("modern", [True, False])
async def test_sampling_shows_the_same_frames(both: tuple[Client, Client], modern: bool) -> None:
    name = await checkpoint(both[0])
    seed = random.randrange(2**40)
    seen = []
    for n, client in enumerate((both[0], *both)):  # the first one warms it up
        graph = sampling_prompt(seed + n, checkpoint=name, size=64, steps=3, prefix="a/b")
        async with client.socket() as socket:
            if modern:
                flags = {"supports_preview_metadata": True}
                await socket.ws.send_json({"type": "feature_flags", "data": flags})
            prompt_id = await client.queue(graph)
            await socket.until_done(prompt_id)
        seen.append((outline(socket), {blob[:4] for blob in socket.binary}, len(socket.binary)))
        (image,) = await client.images(prompt_id)
        assert image["subfolder"] == "a"
        assert Image.open(io.BytesIO(await client.view(image))).size == (64, 64)
    assert seen[2] == seen[1]


async def test_pictures_over_the_socket_and_previews_are_alike(
    both: tuple[Client, Client],
) -> None:
    for client in both:
        shade = random.randrange(2**24)
        graph = image_prompt(shade)
        graph["ws"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
        async with client.socket() as socket:
            prompt_id = await client.queue(graph)
            await socket.until_done(prompt_id)
        (blob,) = socket.binary
        assert blob[:8] == b"\0\0\0\1\0\0\0\2"
        assert colour(blob[8:]) == (shade >> 16, shade >> 8 & 255, shade & 255)
        (image,) = await client.images(prompt_id)
        for spec, kind in (("webp;90", "image/webp"), ("jpeg;80", "image/jpeg")):
            query = URL("/view").with_query(image | {"preview": spec})
            status, found, body = await ask(client, "GET", str(query))
            assert (status, found) == (200, kind)
            assert Image.open(io.BytesIO(body)).get_format_mimetype() == kind


async def test_a_node_that_fails_tells_the_same_without_the_hosts_paths(
    both: tuple[Client, Client],
) -> None:
    told = []
    for client in both:
        graph = image_prompt(random.randrange(2**24), prefix="x" * 300)  # longer than a name may be
        async with client.socket() as socket:
            prompt_id = await client.queue(graph)
            await socket.until_done(prompt_id)
        (error,) = [f["data"] for f in socket.frames if f["type"] == "execution_error"]
        told.append((error["node_id"], error["node_type"], error["exception_type"], set(error)))
        entry = await client.ended(prompt_id)
        assert entry["status"]["status_str"] == "error"
    assert told[1] == told[0]
    assert "/output/" not in error["exception_message"]


@pytest.mark.parametrize("extra", [{"extra_data": 3}, {"client_id": {}}, {"client_id": [1]}])
async def test_what_wedges_comfyui_does_not_reach_it(
    both: tuple[Client, Client], extra: dict[str, Any]
) -> None:
    ours = both[1]
    answer = await ours.post("/prompt", {"prompt": image_prompt(random.randrange(2**24)), **extra})
    assert answer.status == 200
    entry = await ours.ended((await answer.json())["prompt_id"])
    assert entry["status"]["status_str"] == "success"
