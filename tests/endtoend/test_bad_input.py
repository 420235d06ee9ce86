"""Whatever is sent: a precise refusal in the protocol's shape, and the next prompt works.

No case may be answered with a 5xx, leave a traceback in a log, or write a key or a prompt's
text into one.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.clients import Client, image_prompt, sampling_prompt
from tests.endtoend.conftest import ANN, BOB
from tests.endtoend.stack import REPO, Stack
from tests.endtoend.test_path import colour

#: stands in prompts and requests, and may not be found in a log
WITNESS = "velvet-otter-at-dawn"


def graph(**inputs: Any) -> dict[str, Any]:
    """A picture and its saving, with inputs of the first node changed."""
    made = image_prompt(0x204060, prefix=WITNESS)
    made["1"]["inputs"] |= inputs
    return made


def saved_as(prefix: Any) -> dict[str, Any]:
    made = graph()
    made["2"]["inputs"]["filename_prefix"] = prefix
    return made


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def wide(nodes: int) -> dict[str, Any]:
    """A chain, far longer than Python's recursion may go."""
    made: dict[str, Any] = {"0": graph()["1"]}
    for n in range(1, nodes):
        made[str(n)] = {"class_type": "ImageInvert", "inputs": {"image": [str(n - 1), 0]}}
    made["save"] = graph()["2"] | {
        "inputs": {"images": [str(nodes - 1), 0], "filename_prefix": "w"}
    }
    return made


CIRCLE = {
    "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}
NODE = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}}

REFUSED_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no json": b"{nope",
    "null": b"null",
    "a string": b'"x"',
    "a number": b"3",
    "a list": b"[1]",
    "utf-16": b"\xff\xfe{\0}\0",
    "no utf-8 in a string": b'{"prompt": {"1": {"class_type": "\xff"}}}',
    "half a surrogate": b'{"prompt": {"1": {"class_type": "\\ud800"}}}',
    "two bodies": b'{"prompt": {}}{"prompt": {}}',
    "too deep": b'{"prompt": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
}
REFUSED_PROMPTS: dict[str, Any] = {
    "list": [],
    "string": WITNESS,
    "number": 3,
    "null": None,
    "empty": {},
    "node is a string": {"1": "x"},
    "node is null": {"1": None},
    "node is a list": {"1": ["class_type"]},
    "no class": {"1": {"inputs": {}}},
    "class is a list": {"1": {"class_type": ["SaveImage"], "inputs": {}}},
    "class is an object": {"1": {"class_type": {}, "inputs": {}}},
    "unknown class": {"1": {"class_type": WITNESS, "inputs": {}}},
    "no inputs": {"1": {"class_type": "SaveImage"}},
    "inputs is a list": {"1": {"class_type": "SaveImage", "inputs": []}},
    "inputs is null": {"1": {"class_type": "SaveImage", "inputs": None}},
    "no output": {"1": graph()["1"]},
    "circle": CIRCLE,
    "own tail": {"3": NODE},
    "huge number": graph(width=2**70),
    "infinite number": graph(width=float("inf")),
    "no number": graph(width=float("nan")),
    "text for a number": graph(width=WITNESS),
    "link to nowhere": graph(width=["9", 0]),
    "link to no slot": graph(width=["1", 9]),
    "link of lists": graph(width=[["1"], 0]),
    "link of objects": graph(width=[{}, 0]),
    "deep value": graph(width=nested(300)),
    "file that is not there": {
        "3": NODE,
        "1": {"class_type": "LoadImage", "inputs": {"image": "n"}},
    },
    "prefix is a list": saved_as(["x"]),
}
REFUSED_FIELDS: dict[str, dict[str, Any]] = {
    "long prompt_id": {"prompt_id": "x" * 300},
    "empty prompt_id": {"prompt_id": ""},
    "NUL in prompt_id": {"prompt_id": "a\0b"},
    "long client_id": {"client_id": "x" * 1000},
    "number is text": {"number": "x"},
    "number is a list": {"number": []},
    "number is huge": {"number": 10**400},
    "targets is text": {"partial_execution_targets": "2"},
    "targets is an object": {"partial_execution_targets": {"2": 1}},
    "targets that are none": {"partial_execution_targets": [["2"]]},
    "unknown lane": {"extra_data": {"vramgate": {"lane": []}}},
}
ACCEPTED_FIELDS: dict[str, dict[str, Any]] = {
    "prompt_id is a number": {"prompt_id": 7},
    "client_id is a number": {"client_id": 7},
    "client_id is an object": {"client_id": {}},
    "extra_data is a list": {"extra_data": []},
    "extra_data is text": {"extra_data": "x"},
    "pnginfo is a number": {"extra_data": {"extra_pnginfo": 3}},
    "ours is a number": {"extra_data": {"vramgate": 3}},
    "front is text": {"front": "no"},
    "number is null": {"number": None},
}


@pytest.fixture
def post(stack: Stack, http: aiohttp.ClientSession) -> Callable[..., Any]:
    async def posting(path: str, data: Any, **headers: str) -> tuple[int, bytes]:
        return await ask(http, stack, "POST", path, data, headers)

    return posting


async def ask(
    http: aiohttp.ClientSession,
    stack: Stack,
    method: str,
    path: str,
    data: Any = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    url = URL(stack.url + path, encoded=True)
    named = {"X-API-Key": ANN} | (headers or {})
    async with http.request(method, url, data=data, headers=named) as answer:
        return answer.status, await answer.read()


def check_refusal(status: int, body: bytes) -> None:
    assert status == 400, body
    said = json.loads(body)
    assert set(said) == {"error", "node_errors"}
    assert set(said["error"]) == {"type", "message", "details", "extra_info"}
    assert said["error"]["message"]
    assert b"Traceback" not in body
    assert b".py" not in body


@pytest.mark.parametrize("name", REFUSED_BODIES)
async def test_a_body_that_is_no_prompt_is_refused(post: Callable[..., Any], name: str) -> None:
    check_refusal(*await post("/prompt", REFUSED_BODIES[name]))


@pytest.mark.parametrize("name", REFUSED_PROMPTS)
async def test_a_graph_that_cannot_run_is_refused(post: Callable[..., Any], name: str) -> None:
    check_refusal(*await post("/prompt", json.dumps({"prompt": REFUSED_PROMPTS[name]}).encode()))


@pytest.mark.parametrize("name", REFUSED_FIELDS)
async def test_a_field_of_a_wrong_kind_is_refused(post: Callable[..., Any], name: str) -> None:
    body = {"prompt": graph(), **REFUSED_FIELDS[name]}
    check_refusal(*await post("/prompt", json.dumps(body).encode()))


@pytest.mark.parametrize("name", ACCEPTED_FIELDS)
async def test_what_comfyui_overlooks_is_overlooked_and_runs(ann: Client, name: str) -> None:
    body = {"prompt": graph(), **ACCEPTED_FIELDS[name]}
    answer = await ann.post("/api/prompt", body)
    assert answer.status == 200
    entry = await ann.ended((await answer.json())["prompt_id"])
    assert entry["status"]["status_str"] == "success"


@pytest.mark.parametrize(
    "prefix", ["../../x", "/etc/x", "a\0b", "", "ünï 'q' \"d\" 🎨", "x" * 200, "..", "%width%/a"]
)
async def test_no_prefix_leaves_its_users_folder(ann: Client, stack: Stack, prefix: str) -> None:
    prompt_id = await ann.queue(saved_as(prefix))
    assert (await ann.ended(prompt_id))["status"]["status_str"] == "success"
    (image,) = await ann.images(prompt_id)
    assert colour(await ann.view(image)) == (0x20, 0x40, 0x60)
    (record,) = [
        path for path in stack.folder.rglob(image["filename"]) if image["subfolder"] in str(path)
    ]
    assert "ann" in record.relative_to(stack.data_dir).parts


async def test_a_prompt_id_is_used_once(ann: Client, bob: Client) -> None:
    chosen = secrets.token_hex(8)
    assert await ann.queue(graph(), prompt_id=chosen) == chosen
    answer = await ann.post("/prompt", {"prompt": graph(), "prompt_id": chosen})
    check_refusal(answer.status, await answer.read())
    assert await bob.queue(graph(), prompt_id=chosen) == chosen


async def test_a_graph_of_five_thousand_nodes_is_answered(ann: Client) -> None:
    answer = await ann.post("/prompt", {"prompt": wide(5000)})
    assert answer.status in (200, 400)
    if answer.status == 200:
        prompt_id = (await answer.json())["prompt_id"]
        await ann.post("/queue", {"delete": [prompt_id]})
        await ann.post("/interrupt", {"prompt_id": prompt_id})
    else:
        check_refusal(answer.status, await answer.read())


async def mebibytes(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 2**20


async def test_two_hundred_megabytes_are_too_much_announced_or_not(
    post: Callable[..., Any], stack: Stack
) -> None:
    status, body = await post("/prompt", mebibytes(200))
    assert status == 413
    assert json.loads(body)["error"]["type"] == "too_large"
    head = f"POST /prompt HTTP/1.1\r\nHost: x\r\nX-API-Key: {ANN}\r\nContent-Length: {200 * 2**20}"
    assert raw(stack, head.encode() + b"\r\n\r\n").startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_inflates_without_end_is_too_much(post: Callable[..., Any]) -> None:
    bomb = gzip.compress(b" " * (120 * 2**20), compresslevel=1)
    status, _ = await post("/prompt", bomb, **{"Content-Encoding": "gzip"})
    assert status == 413


@pytest.mark.parametrize("path", ["/queue", "/prompt", "/history"])
async def test_a_body_not_packed_as_it_says_is_refused(post: Callable[..., Any], path: str) -> None:
    check_refusal(*await post(path, b"{}", **{"Content-Encoding": "gzip"}))


async def test_the_content_type_does_not_matter(ann: Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "x", "text/json; charset=no"):
        headers = ann.headers | {"Content-Type": kind}
        body = json.dumps({"prompt": graph()}).encode()
        async with ann.http.post(ann.url + "/prompt", data=body, headers=headers) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/queue", "/history"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"delete": ["\xff"]}', b"\xff"])
async def test_what_is_no_object_changes_no_list(
    post: Callable[..., Any], path: str, body: bytes
) -> None:
    check_refusal(*await post(path, body))


@pytest.mark.parametrize("path", ["/queue", "/history", "/interrupt", "/free"])
@pytest.mark.parametrize(
    "body",
    [
        {"delete": "x"},
        {"delete": 3},
        {"delete": [1, None, {}, [], "nope", "\0", "x" * 5000]},
        {"prompt_id": []},
        {"prompt_id": "x" * 5000},
        {"prompt_id": 10**30},
    ],
)
async def test_ids_that_nobody_has_do_nothing(
    post: Callable[..., Any], path: str, body: Any
) -> None:
    assert await post(path, json.dumps(body).encode()) == (200, b"")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/history?max_items=abc", 400),
        ("/history?max_items=1.5", 400),
        ("/history?max_items=%00", 400),
        ("/history?max_items=-1", 200),
        ("/history?max_items=99999999999999999999", 200),
        ("/history?offset=abc", 400),
        ("/history?offset=-1", 200),
        ("/history?offset=99999999999999999999999", 200),
        ("/history/%00", 200),
        ("/history/..%2f..", 200),
        ("/history/%FF", 200),
        ("/view", 404),
        ("/view?filename=", 400),
        ("/view?filename=nope.png", 404),
        ("/view?filename=..%2f..%2fvramgate.db", 400),
        ("/view?filename=/etc/passwd", 400),
        ("/view?filename=a%00b", 404),  # as ComfyUI: no such file
        ("/view?filename=%FF", 404),
        ("/view?filename=x&type=bad", 400),
        ("/view?filename=x&type=", 400),
        ("/view?filename=x&subfolder=../..", 403),
        ("/view?filename=x&subfolder=/etc", 403),
        ("/view?filename=x&preview=bad;-1", 404),
        ("/api/jobs?status=bad", 400),
        ("/api/jobs?limit=abc", 400),
        ("/api/jobs?limit=-1", 400),
        ("/api/jobs?offset=-1", 400),
        ("/api/jobs?sort_by=bad", 400),
        ("/api/jobs?sort_order=bad", 400),
        ("/api/jobs/nope", 404),
        ("/userdata", 400),
        ("/userdata?dir=..", 403),
        ("/userdata?dir=nope", 404),
        ("/userdata/..%2f..%2fetc%2fpasswd", 403),
        ("/userdata/%2e%2e%2fx", 403),
        ("/userdata/a%00b", 403),
        ("/userdata/nope", 404),
        ("/v2/userdata?path=..", 400),
        ("/v2/userdata?path=nope", 404),
        ("/settings/%00", 200),
        ("/object_info/%00", 200),
        ("/models/..%2f..", 404),
        ("/models/%00", 404),
        ("/view_metadata/checkpoints", 404),
        ("/view_metadata/checkpoints?filename=..%2f..%2fx", 404),
        ("/experiment/models/nope", 404),
        ("/internal/files/bad", 400),
        ("/extensions/..%2f..%2fx", 404),
        ("/..%2f..%2fetc%2fpasswd", 404),
        ("/%00", 404),
        ("/api/nope", 404),
        ("/ws", 400),
        ("/ws?clientId=" + "x" * 1000, 400),
    ],
)
async def test_a_bad_query_is_told_so(
    stack: Stack, http: aiohttp.ClientSession, path: str, status: int
) -> None:
    found, body = await ask(http, stack, "GET", path)
    assert found == status
    assert b"Traceback" not in body
    assert str(stack.folder).encode() not in body


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/userdata/..%2fx", b"x", 403),
        ("POST", "/userdata/%2Fetc%2Fx", b"x", 403),
        ("POST", "/userdata/a%00b", b"x", 403),
        ("POST", "/userdata/" + "x" * 400, b"x", 403),
        ("POST", "/userdata/nope/move/x", b"", 404),
        ("POST", "/userdata/nope/move/..%2fx", b"", 403),
        ("DELETE", "/userdata/..%2fx", None, 403),
        ("DELETE", "/userdata/nope", None, 404),
        ("POST", "/settings", b"{nope", 400),
        ("POST", "/settings", b"[]", 400),
        ("POST", "/settings/x", b"\xff", 400),
        ("POST", "/settings/x", b'"\xff"', 400),
        ("POST", "/upload/image", b"x", 400),
        ("POST", "/upload/mask", b"", 400),
        ("POST", "/api/jobs/cancel", b"[]", 400),
        ("POST", "/api/jobs/cancel", b'{"job_ids": ["\xff"]}', 400),
        ("POST", "/users", b"{}", 403),
        ("PATCH", "/internal/logs/subscribe", b"[]", 400),
        ("PUT", "/prompt", b"", 405),
        ("TRACE", "/prompt", None, 405),
        ("POST", "/object_info", b"", 405),
    ],
)
async def test_a_bad_write_changes_nothing(
    stack: Stack,
    http: aiohttp.ClientSession,
    method: str,
    path: str,
    body: bytes | None,
    status: int,
) -> None:
    found, said = await ask(http, stack, method, path, body)
    assert found == status, said
    assert b"Traceback" not in said


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
async def test_what_is_no_picture_has_no_preview(ann: Client, content: bytes) -> None:
    form = aiohttp.FormData({"overwrite": "true"})
    form.add_field("image", content, filename="odd.png", content_type="image/png")
    async with ann.http.post(ann.url + "/upload/image", data=form, headers=ann.headers) as answer:
        assert answer.status == 200
    for query in ({"preview": "webp;90"}, {"channel": "rgb"}, {"channel": "a"}):
        asked = {"filename": "odd.png", "type": "input", **query}
        async with ann.http.get(ann.url + "/view", params=asked, headers=ann.headers) as answer:
            assert answer.status == 400


def raw(stack: Stack, request: bytes) -> bytes:
    """Bytes as they are, and what comes back until the other side is done."""
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as line:
        line.sendall(request)
        return line.recv(65536)


@pytest.mark.parametrize(
    "request_",
    [
        f"BREW /k/url-{ANN}/prompt HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /?token={ANN} HTTPS\r\nHost: x\r\n\r\n",
        f"GET /k/url-{ANN}/ x HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ANN}\x01\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key {ANN}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: {ANN}{'x' * 20000}\r\n\r\n",
        f"POST /queue HTTP/1.1\r\nHost: x\r\nX-API-Key: {ANN}\r\nContent-Length: -1\r\n\r\n",
        f"POST /queue HTTP/1.1\r\nHost: x\r\nX-API-Key: {ANN}\r\nContent-Length: 3\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
)
def test_what_is_no_http_is_refused(stack: Stack, request_: str) -> None:
    assert raw(stack, request_.encode()).startswith(b"HTTP/1.0 400 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /////w=="},
        {"Authorization": "Bearer "},
        {"Authorization": "Negotiate abc"},
        {"X-API-Key": "x" * 4000},
        {"Cookie": "vramgate_session=;;;=="},
    ],
)
async def test_a_key_that_is_none_is_refused(
    stack: Stack, http: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    async with http.get(stack.url + "/queue", headers=headers) as answer:
        assert answer.status == 401
        assert set(await answer.json()) == {"error", "node_errors"}


async def test_a_revoked_key_ends_at_once_for_calls_and_sockets(
    stack: Stack, http: aiohttp.ClientSession
) -> None:
    said = await asyncio.to_thread(vramgate, "users", "add", "zed", stack=stack)
    key = said.split()[-1]
    zed = Client(http, stack.url, {"X-API-Key": key})
    async with zed.socket() as heard:
        await zed.get("/queue")
        await asyncio.to_thread(vramgate, "users", "revoke", "zed", stack=stack)
        async with asyncio.timeout(20):
            while (await heard.ws.receive()).type is aiohttp.WSMsgType.TEXT:
                continue
    status, _ = await ask(http, stack, "GET", "/queue", headers={"X-API-Key": key})
    assert status == 401
    assert key not in logs_of(stack)


def vramgate(*arguments: str, stack: Stack) -> str:
    options = ["--data-dir", str(stack.data_dir), "--config", str(stack.config)]
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, *options],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def logs_of(stack: Stack) -> str:
    files: Iterator[Path] = (stack.data_dir / "logs").iterdir()
    return stack.tail() + "".join(path.read_text(errors="replace") for path in files)


async def test_after_all_of_it_prompts_run_and_the_logs_tell_no_tales(
    stack: Stack, ann: Client, bob: Client
) -> None:
    told = sampling_prompt(seed=1)
    told["6"]["inputs"]["text"] = WITNESS
    for client in (ann, bob):
        prompt_id = await client.queue(told)
        assert (await client.ended(prompt_id))["status"]["status_str"] == "success"
    written = logs_of(stack)
    assert "prompt_queued" in written
    for word in (WITNESS, ANN, BOB, "Traceback", "request_failed"):
        assert word not in written, written[max(0, written.find(word) - 500) :][:1500]
