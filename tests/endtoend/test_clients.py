"""Clients as people write them: scripts, painters' plug-ins, pollers, many at once."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.clients import Client, Socket, ends, image_prompt, sampling_prompt
from tests.endtoend.conftest import ANN, BOB
from tests.endtoend.stack import Stack
from tests.endtoend.test_path import colour

ARTISTS = {f"artist{n}": f"key-of-artist-{n}" for n in range(5)}
FIVE = "auth: {mode: keys}\nusers:\n" + "".join(
    f"  - {{name: {name}, key: {key}}}\n" for name, key in ARTISTS.items()
)


class Script:
    """A script without any library: urllib and nothing else, as in ComfyUI's examples."""

    def __init__(self, base: str, headers: dict[str, str] | None = None, query: str = "") -> None:
        self.base = base
        self.headers = headers or {}
        self.query = query

    def call(self, path: str, body: Any = None) -> Any:
        mark = "&" if "?" in path else "?"
        url = self.base + path + (mark + self.query if self.query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers=self.headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw: bytes = answer.read()
        return raw if answer.headers.get_content_maintype() == "image" else json.loads(raw or b"{}")

    def picture(self, prompt: dict[str, Any]) -> bytes:
        """Queue, ask for the history until it is there, fetch the one picture."""
        prompt_id = self.call("/prompt", {"prompt": prompt})["prompt_id"]
        while prompt_id not in (found := self.call(f"/history/{prompt_id}")):
            continue
        (image,) = (i for out in found[prompt_id]["outputs"].values() for i in out["images"])
        picture = self.call("/view?" + urllib.parse.urlencode(image))
        assert isinstance(picture, bytes)
        return picture


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    async with asyncio.timeout(90):
        return await asyncio.to_thread(function, *args)


def basic(name: str, key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{key}".encode()).decode()}


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    ("path", "headers", "query"),
    [
        ("", basic("ann", ANN), ""),
        ("", {"X-API-Key": ANN}, ""),
        ("", {}, f"token={ANN}"),
        (f"/k/url-{ANN}", {}, ""),
    ],
    ids=["basic", "header", "token", "url"],
)
async def test_a_script_without_a_socket_gets_its_picture(
    stack: Stack, prefix: str, path: str, headers: dict[str, str], query: str
) -> None:
    script = Script(stack.url + path + prefix, headers, query)
    picture = await in_thread(script.picture, image_prompt(0x123456, prefix="poll"))
    assert colour(picture) == (0x12, 0x34, 0x56)


async def test_one_who_fires_and_watches_the_queue_run_empty(stack: Stack) -> None:
    script = Script(stack.url, {"Authorization": f"Bearer {ANN}"})

    def fire() -> list[str]:
        posted = [
            script.call("/prompt", {"prompt": image_prompt(n)})["prompt_id"] for n in range(5)
        ]
        while any(script.call("/queue").values()):
            continue
        return posted

    posted = await in_thread(fire)
    history = await in_thread(script.call, "/history?max_items=5")
    # several workers run them at once, and history is by end
    assert sorted(history) == sorted(posted)


async def test_images_over_the_socket_come_while_their_node_is_executing(ann: Client) -> None:
    graph = image_prompt(0x0A0B0C)
    graph["save"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}
    async with ann.socket() as client:
        prompt_id = await ann.queue(graph)
        current, pictures = "", []
        async with asyncio.timeout(30):
            async for message in client.ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    if current == "save":
                        pictures.append(message.data[8:])
                    continue
                frame = json.loads(message.data)
                if ends(frame, prompt_id):
                    break
                if frame["type"] == "executing":
                    current = frame["data"]["node"]
    (picture,) = pictures
    assert colour(picture) == (0x0A, 0x0B, 0x0C)


async def test_a_painters_plug_in_finds_all_it_asks_for(ann: Client) -> None:
    stats = await ann.get("/system_stats")
    assert stats["system"]["comfyui_version"]
    assert stats["devices"][0]["vram_total"] == 24 * 2**30
    loaders = {"CheckpointLoaderSimple": "ckpt_name", "VAELoader": "vae_name"}
    everything = await ann.get("/object_info")
    for name, field in loaders.items():
        one = await ann.get(f"/object_info/{name}")
        assert one[name] == everything[name]
        assert isinstance(one[name]["input"]["required"][field][0], list)
    assert "sd15.safetensors" in await ann.get("/models/checkpoints")

    blob = io.BytesIO()
    Image.new("RGB", (48, 32), (1, 2, 3)).save(blob, "PNG")
    form = aiohttp.FormData({"overwrite": "true"})
    form.add_field("image", blob.getvalue(), filename="layer.png", content_type="image/png")
    async with ann.http.post(ann.url + "/upload/image", data=form, headers=ann.headers) as answer:
        assert (await answer.json())["name"] == "layer.png"

    async with ann.socket() as client:
        await client.ws.send_json(
            {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        )
        chosen = str(uuid.uuid4())
        graph = sampling_prompt(seed=5, steps=3)
        graph["in"] = {"class_type": "LoadImage", "inputs": {"image": "layer.png"}}
        graph["out"] = {"class_type": "PreviewImage", "inputs": {"images": ["in", 0]}}
        assert await ann.queue(graph, prompt_id=chosen) == chosen
        frames = await client.until_done(chosen)
    flags = [frame for frame in frames if frame["type"] == "feature_flags"]
    assert flags[0]["data"]["supports_preview_metadata"] is True
    assert {blob[:4] for blob in client.binary} == {b"\0\0\0\4"}
    size = int.from_bytes(client.binary[0][4:8])
    told = json.loads(client.binary[0][8 : 8 + size])
    assert (told["prompt_id"], told["node_id"]) == (chosen, "3")
    Image.open(io.BytesIO(client.binary[0][8 + size :])).verify()
    (temporary,) = (i for i in await ann.images(chosen) if i["type"] == "temp")
    assert colour(await ann.view(temporary)) == (1, 2, 3)


async def test_pending_ones_are_deleted_and_the_running_one_is_interrupted(ann: Client) -> None:
    async with ann.socket() as client:
        ids = [str(uuid.uuid4()) for _ in range(4)]
        for n, chosen in enumerate(ids):
            await ann.queue(sampling_prompt(seed=50 + n, steps=10_000), prompt_id=chosen)
        await until_running(ann, 2)
        pending = [item[1] for item in (await ann.get("/queue"))["queue_pending"]]
        assert sorted(pending) == sorted(ids[2:])
        await ann.post("/queue", {"delete": pending})
        assert (await ann.get("/queue"))["queue_pending"] == []
        await ann.post("/interrupt", {})
        for chosen in ids[:2]:
            await ann.ended(chosen)
        await until_idle(ann)
        told = await drain(client, ann)
    interrupted = [f["data"]["prompt_id"] for f in told if f["type"] == "execution_interrupted"]
    assert sorted(interrupted) == sorted(ids[:2])
    assert not {*pending} & {*await ann.get("/history")}


async def until_running(client: Client, count: int) -> None:
    async with asyncio.timeout(60):
        while len((await client.get("/queue"))["queue_running"]) < count:
            await asyncio.sleep(0.02)


async def until_idle(client: Client) -> None:
    async with asyncio.timeout(60):
        while (await client.get("/prompt"))["exec_info"]["queue_remaining"]:
            await asyncio.sleep(0.05)


async def drain(client: Socket, owner: Client) -> list[dict[str, Any]]:
    """Everything told so far: up to the end of one more prompt of the same client."""
    await client.until_done(await owner.queue(image_prompt(prefix="drain")))
    return client.frames


async def test_a_hundred_prompts_of_five_with_cancels_each_end_once(
    start: Callable[..., Stack], http: aiohttp.ClientSession
) -> None:
    stack = start("--simulate", "gpus=1,vram=24GiB,workers=2,speed=20", config=FIVE)
    clients = [Client(http, stack.url, {"X-API-Key": key}) for key in ARTISTS.values()]
    tales = await asyncio.gather(*(busy_afternoon(c, n) for n, c in enumerate(clients)))
    for n, (_, frames) in enumerate(tales):
        others = [i for m, (theirs, _) in enumerate(tales) if m != n for i in theirs]
        said = json.dumps(frames)
        assert not [i for i in others if i in said]
    last = [[f for f in frames if f["type"] == "status"][-1] for _, frames in tales]
    assert {f["data"]["status"]["exec_info"]["queue_remaining"] for f in last} == {0}


async def busy_afternoon(client: Client, who: int) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Twenty prompts at once; every fourth is taken back, wherever it is by then."""
    async with client.socket() as heard:
        shades = [0x10000 * (who + 1) + 0x100 * n + 7 for n in range(20)]
        ids = await asyncio.gather(*(client.queue(image_prompt(s, size=96)) for s in shades))
        mine = dict(zip(ids, shades, strict=True))
        doomed = ids[::4]
        for prompt_id in doomed:
            await client.post("/queue", {"delete": [prompt_id]})
            await client.post("/interrupt", {"prompt_id": prompt_id})
        await until_idle(client)
        frames = await drain(heard, client)
    history = await client.get("/history")
    for prompt_id, shade in mine.items():
        endings = [f for f in frames if ends(f, prompt_id)]
        entry = history.get(prompt_id)
        if entry is None:  # taken back before it ran: no trace, as in ComfyUI
            assert prompt_id in doomed
            assert endings == []
            continue
        assert len(endings) == 1
        if entry["status"]["status_str"] == "error":
            assert prompt_id in doomed
            assert entry["status"]["messages"][-1][0] == "execution_interrupted"
            continue
        (image,) = await client.images(prompt_id)
        assert colour(await client.view(image)) == (shade >> 16, shade >> 8 & 255, 7)
    return mine, frames


async def test_who_reconnects_in_the_middle_hears_the_rest(ann: Client) -> None:
    async with ann.socket() as first:
        # long enough that it still samples when a busy machine has connected again
        prompt_id = await ann.queue(sampling_prompt(seed=77, steps=4000))
        async for message in first.ws:
            if message.type is aiohttp.WSMsgType.TEXT and '"progress"' in message.data:
                break
    async with ann.socket() as second:
        frames = await second.until_done(prompt_id)
    kinds = [frame["type"] for frame in frames]
    assert kinds[:3] == ["status", "executing", "execution_start"]
    assert frames[0]["data"]["sid"] == ann.client_id
    assert frames[1]["data"]["node"] == "3"
    assert "progress" in kinds
    assert "execution_success" in kinds


async def test_two_tabs_with_one_id_hear_the_same_and_one_may_go(ann: Client) -> None:
    async with ann.socket() as left:
        async with ann.socket() as right:
            one = await ann.queue(image_prompt(1))
            heard = [
                [f["type"] for f in await tab.until_done(one) if f["type"] != "status"]
                for tab in (left, right)
            ]
            assert heard[0] == heard[1]
        two = await ann.queue(image_prompt(2))
        assert await left.until_done(two)


async def test_one_who_never_reads_holds_up_nobody(stack: Stack, ann: Client, bob: Client) -> None:
    with socket.create_connection(("127.0.0.1", stack.port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            f"GET /ws?clientId={ann.client_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {ANN}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        async with bob.socket() as bobs:
            anns = [await ann.queue(sampling_prompt(seed=n, steps=150)) for n in range(4)]
            for n in range(3):
                await bobs.until_done(await bob.queue(image_prompt(n)))
        for prompt_id in anns:
            assert (await ann.ended(prompt_id))["status"]["status_str"] == "success"


async def test_previews_of_a_worker_reach_its_owners_sockets_alone(
    ann: Client, bob: Client
) -> None:
    async with ann.socket() as anns, bob.socket() as bobs:
        one = await ann.queue(sampling_prompt(seed=3, steps=200))
        two = await bob.queue(image_prompt(3))
        await anns.until_done(one)
        await bobs.until_done(two)
        await drain(bobs, bob)
    assert anns.binary
    assert bobs.binary == []


def connection(stack: Stack) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)


def multipart(boundary: str, disposition: str, content: bytes) -> tuple[dict[str, str], bytes]:
    body = (
        f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n"
        "Content-Type: image/png\r\n\r\n"
    ).encode() + content
    body += f"\r\n--{boundary}--\r\n".encode()
    kind = f'multipart/form-data; boundary="{boundary}"'
    return {"Content-Type": kind, "X-API-Key": BOB}, body


PNG = io.BytesIO()
Image.new("RGB", (8, 8), (5, 6, 7)).save(PNG, "PNG")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="image"; filename="plain.png"', "plain.png"),
        ('name="image"; filename="with space (1).png"', "with space (1).png"),
        ('name="image"; filename="größe 🎨.png"', "größe 🎨.png"),
        ('name="image"; filename="it\'s.png"', "it's.png"),
        ("name=image; filename=token.png", "token.png"),
        ("name=\"image\"; filename*=UTF-8''caf%C3%A9.png", "café.png"),
    ],
)
def test_uploads_keep_the_names_people_give_files(
    stack: Stack, disposition: str, name: str
) -> None:
    headers, body = multipart("----=_Part'()+_,-./:=?", disposition, PNG.getvalue())
    line = connection(stack)
    line.request("POST", "/upload/image", body, headers)
    answer = line.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    assert json.loads(said) == {"name": name, "subfolder": "", "type": "input"}
    query = urllib.parse.urlencode({"filename": name, "type": "input"})
    line.request("GET", "/view?" + query, headers={"X-API-Key": BOB})
    answer = line.getresponse()
    assert answer.read() == PNG.getvalue()
    assert answer.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize(
    "name", ["../up.png", "/etc/up.png", "..\\up.png", "a/../../up.png", "up\\..\\..\\x.png", "."]
)
def test_uploads_never_leave_their_users_folder(stack: Stack, name: str) -> None:
    headers, body = multipart("b", f'name="image"; filename="{name}"', PNG.getvalue())
    line = connection(stack)
    line.request("POST", "/upload/image", body, headers)
    answer = line.getresponse()
    said = answer.read()
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert not re.search(r"^/|\.\.[/\\]", json.loads(said)["name"])
    assert [*stack.folder.rglob("up.png")] == []


def test_a_chunked_body_and_a_closed_connection_each_time_work(stack: Stack) -> None:
    body = json.dumps({"prompt": image_prompt(4)}).encode()
    line = connection(stack)
    chunks = (body[n : n + 7] for n in range(0, len(body), 7))
    headers = {"X-API-Key": BOB, "Connection": "close", "Content-Type": "text/plain"}
    line.request("POST", "/prompt", chunks, headers, encode_chunked=True)
    answer = line.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["node_errors"] == {}


def http10(stack: Stack, request: str) -> bytes:
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as line:
        line.sendall(f"{request} HTTP/1.0\r\nX-API-Key: {BOB}\r\n\r\n".encode())
        return b"".join(iter(lambda: line.recv(65536), b""))


def test_http_1_0_without_a_host_is_answered_and_closed(stack: Stack) -> None:
    head, _, body = http10(stack, "GET /object_info/EmptyImage").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert b"chunked" not in head.lower()
    assert "EmptyImage" in json.loads(body)


@pytest.mark.parametrize("path", ["/prompt", "/queue", "/history", "/object_info", "/system_stats"])
def test_head_says_what_get_would_and_options_nothing(stack: Stack, path: str) -> None:
    line = connection(stack)
    line.request("HEAD", path, headers={"X-API-Key": BOB})
    head = line.getresponse()
    assert (head.status, head.read()) == (200, b"")
    assert head.headers["Content-Type"] == "application/json; charset=utf-8"
    line.request("OPTIONS", path, headers={"X-API-Key": BOB})
    options = line.getresponse()
    assert (options.status, options.read()) == (200, b"")
