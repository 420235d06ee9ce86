"""From a client's POST to its picture, through every process."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.clients import Client, Refused, image_prompt, sampling_prompt
from tests.endtoend.stack import Stack


def colour(png: bytes) -> tuple[int, ...]:
    """The colour of a one-coloured picture."""
    colours = Image.open(io.BytesIO(png)).convert("RGB").getcolors(maxcolors=1)
    assert colours is not None, "more than one colour"
    found: tuple[int, ...] = colours[0][1]
    return found


async def test_a_script_gets_the_picture_it_asked_for(ann: Client) -> None:
    async with ann.socket() as socket:
        prompt_id = await ann.queue(image_prompt(0x336699))
        frames = await socket.until_done(prompt_id)
    types = [frame["type"] for frame in frames]
    assert types[0] == "status"
    assert types.index("execution_start") < types.index("executed")
    assert types.index("executed") < types.index("execution_success")
    last_status = [f for f in frames if f["type"] == "status"][-1]
    assert last_status["data"]["status"]["exec_info"]["queue_remaining"] == 0
    (image,) = await ann.images(prompt_id)
    assert image["subfolder"] == ""
    assert image["filename"].startswith("pic_")
    assert colour(await ann.view(image)) == (0x33, 0x66, 0x99)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ({}, "image/png"),
        ({"preview": "jpeg;80"}, "image/jpeg"),
        ({"preview": "webp;90"}, "image/webp"),
        ({"channel": "rgb"}, "image/png"),
    ],
)
async def test_a_picture_is_what_its_type_says(
    ann: Client, query: dict[str, str], kind: str
) -> None:
    prompt_id = await ann.queue(image_prompt(0x102030, prefix="typed"))
    await ann.ended(prompt_id)
    (image,) = await ann.images(prompt_id)
    where = ann.url + "/view"
    async with ann.http.get(where, params={**image, **query}, headers=ann.headers) as answer:
        assert answer.content_type == kind
        assert Image.MIME[str(Image.open(io.BytesIO(await answer.read())).format)] == kind


async def test_sampling_shows_progress_and_previews(ann: Client) -> None:
    async with ann.socket() as socket:
        prompt_id = await ann.queue(sampling_prompt(seed=7, steps=5))
        frames = await socket.until_done(prompt_id)
        steps = [f["data"]["value"] for f in frames if f["type"] == "progress"]
        assert steps == [1, 2, 3, 4, 5]
        assert all(f["data"]["prompt_id"] == prompt_id for f in frames if f["type"] == "progress")
        # This client declared no feature flags: plain type 1 previews.
        assert {blob[:4] for blob in socket.binary} == {b"\x00\x00\x00\x01"}
    (image,) = await ann.images(prompt_id)
    picture = Image.open(io.BytesIO(await ann.view(image)))
    assert picture.size == (512, 512)


async def test_pictures_of_one_prefix_from_several_workers_never_mix(ann: Client) -> None:
    wanted = {i: 0x010101 * (20 + i) for i in range(12)}
    ids = {i: await ann.queue(image_prompt(shade, prefix="mix")) for i, shade in wanted.items()}
    names = set()
    for i, prompt_id in ids.items():
        await ann.ended(prompt_id)
        (image,) = await ann.images(prompt_id)
        names.add((image["subfolder"], image["filename"]))
        shade = 20 + i
        assert colour(await ann.view(image)) == (shade, shade, shade)
    assert len(names) == len(wanted)


async def test_two_users_see_nothing_of_each_other(ann: Client, bob: Client) -> None:
    async with ann.socket() as anns, bob.socket() as bobs:
        prompt_id = await ann.queue(image_prompt(prefix="secret"))
        await anns.until_done(prompt_id)
        (image,) = await ann.images(prompt_id)
        own = await bob.queue(image_prompt(prefix="secret"))
        frames = await bobs.until_done(own)
        assert prompt_id not in str(bobs.frames)
        assert own not in str(anns.frames)
        assert frames[-1]["data"]["prompt_id"] == own
    assert await bob.get(f"/history/{prompt_id}") == {}
    assert prompt_id not in await bob.get("/history")
    queue = await bob.get("/queue")
    assert prompt_id not in str(queue)
    missing = {**image, "subfolder": "nowhere"}
    with pytest.raises(aiohttp.ClientResponseError, match="404"):
        await bob.view(missing)
    # The identical graph of both: each has a file of its own.
    (bobs_image,) = await bob.images(own)
    assert await bob.view(bobs_image)


async def test_an_upload_is_what_the_graph_reads(ann: Client, bob: Client) -> None:
    blob = io.BytesIO()
    Image.new("RGB", (32, 32), (9, 99, 199)).save(blob, "PNG")
    form = aiohttp.FormData()
    form.add_field("image", blob.getvalue(), filename="mine.png", content_type="image/png")
    async with ann.http.post(ann.url + "/upload/image", data=form, headers=ann.headers) as answer:
        uploaded = await answer.json()
    assert uploaded == {"name": "mine.png", "subfolder": "", "type": "input"}
    graph: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "mine.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {
            "class_type": "SaveImage",
            "inputs": {"images": ["2", 0], "filename_prefix": "inverted"},
        },
    }
    prompt_id = await ann.queue(graph)
    await ann.ended(prompt_id)
    (image,) = await ann.images(prompt_id)
    assert colour(await ann.view(image)) == (246, 156, 56)
    with pytest.raises(Refused) as refused:
        await bob.queue(graph)
    assert refused.value.status == 400
    info = await ann.get("/object_info/LoadImage")
    assert "mine.png" in info["LoadImage"]["input"]["required"]["image"][0]
    info = await bob.get("/object_info/LoadImage")
    assert "mine.png" not in info["LoadImage"]["input"]["required"]["image"][0]


async def test_a_running_prompt_is_cancelled_by_its_owner_alone(ann: Client, bob: Client) -> None:
    async with ann.socket() as socket:
        prompt_id = await ann.queue(sampling_prompt(seed=99, steps=10_000))
        async for message in socket.ws:
            if message.type is aiohttp.WSMsgType.TEXT and '"progress"' in message.data:
                break
        await bob.post("/interrupt", {"prompt_id": prompt_id})
        await bob.post("/queue", {"clear": True})
        await asyncio.sleep(0.3)
        assert prompt_id in str((await ann.get("/queue"))["queue_running"])
        await ann.post("/interrupt", {"prompt_id": prompt_id})
        await socket.until_done(prompt_id)
    entry = (await ann.get(f"/history/{prompt_id}"))[prompt_id]
    assert entry["status"]["status_str"] == "error"
    assert "execution_interrupted" in [m[0] for m in entry["status"]["messages"]]


async def test_one_over_an_admins_limit_is_refused_at_once(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    tom = Client(http, stack.url, {"Authorization": "Bearer key-of-tom-0001"})
    with pytest.raises(Refused) as refused:
        await tom.queue(sampling_prompt(checkpoint="sdxl.safetensors", size=1024))
    assert refused.value.status == 400
    error = refused.value.body["error"]
    assert set(error) == {"type", "message", "details", "extra_info"}
    assert "4.0 GiB" in error["message"] + error["details"]
    assert refused.value.body["node_errors"] == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{nonsense", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"prompt": {}}', 400),
        (b'{"prompt": {"1": {"class_type": "NoSuchNode", "inputs": {}}}}', 400),
        (
            b'{"prompt": {"1": {"class_type": "SaveImage", "inputs": '
            b'{"images": ["1", 0], "filename_prefix": "x"}}}}',
            400,
        ),
        (
            b'{"prompt": {"1": {"class_type": "EmptyImage", "inputs": {"width": "wide"}},'
            b'"2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}}',
            400,
        ),
        (b"[" * 100_000, 400),
        (b" " * (101 * 2**20), 413),
    ],
)
async def test_bad_input_gets_a_precise_refusal_in_the_protocols_shape(
    ann: Client, body: bytes, status: int
) -> None:
    async with ann.http.post(ann.url + "/prompt", data=body, headers=ann.headers) as answer:
        assert answer.status == status
        refusal = await answer.json()
    assert set(refusal) == {"error", "node_errors"}
    assert set(refusal["error"]) >= {"type", "message", "details", "extra_info"}
    assert "Traceback" not in str(refusal)


@pytest.mark.parametrize("key", [None, "key-of-nobody-1", "url-key-of-ann-0001"])
async def test_without_a_valid_key_nothing_is_told(
    stack: Stack, http: aiohttp.ClientSession, key: str | None
) -> None:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    for path in ("/queue", "/history", "/object_info", "/system_stats", "/api/settings", "/ws"):
        async with http.get(stack.url + path, headers=headers) as answer:
            assert answer.status == 401, path
            assert set(await answer.json()) == {"error", "node_errors"}


async def test_the_personal_url_is_a_whole_server(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    client = Client(http, f"{stack.url}/k/url-key-of-ann-0001")
    async with client.socket() as socket:
        prompt_id = await client.queue(image_prompt(0x0000FF, prefix="url"))
        await socket.until_done(prompt_id)
    (image,) = await client.images(prompt_id)
    assert colour(await client.view(image)) == (0, 0, 255)
