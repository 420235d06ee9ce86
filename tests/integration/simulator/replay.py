"""Plays the clients of a recording against a simulated worker, and compares what it says."""

from __future__ import annotations

import asyncio
import io
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientWebSocketResponse, FormData, WSMsgType
from aiohttp.test_utils import TestClient
from PIL import Image
from yarl import URL

RECORDINGS = Path(__file__).parents[2] / "recordings" / "comfyui-0.3.64"
PATIENCE_S = 60.0

#: Answers that depend on the machine: only their shape is compared.
_SHAPE_ONLY = re.compile(r"^/(system_stats|experiment/models$|internal/(folder_paths|files))")
#: Answers of which not even the shape is fixed.
_UNCOMPARED = re.compile(r"^/(view_metadata|internal/logs)")
_UPLOADS: Mapping[str, Mapping[str, str]] = {
    "multipart: image=pic.png(red)": {"colour": "red"},
    "same again": {"colour": "red"},
    "pic.png(blue)": {"colour": "blue"},
    "pic.png(blue) overwrite=true": {"colour": "blue", "overwrite": "true"},
    "subfolder=tenant_a/sub type=input": {"subfolder": "tenant_a/sub", "type": "input"},
    "type=temp": {"type": "temp"},
    "type=output": {"type": "output"},
    "type=weird": {"type": "weird"},
    "subfolder=../..": {"subfolder": "../.."},
    "no image field": {"colour": ""},
    "original missing": {"original_ref": '{"filename":"none.png","type":"input"}'},
}


def read(name: str) -> list[dict[str, Any]]:
    """All records of one recording."""
    (path,) = RECORDINGS.glob(f"{name}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def is_tick(frame: Mapping[str, Any]) -> bool:
    """Whether a frame tells how far a running node is: how many there are depends on time."""
    if frame.get("type") == "progress_state":
        return any(
            node["state"] == "running" and node["value"] > 0
            for node in frame["data"]["nodes"].values()
        )
    return frame.get("type") == "progress"


@dataclass
class _Socket:
    ws: ClientWebSocketResponse
    reader: asyncio.Task[None]
    frames: list[Any] = field(default_factory=list)


class Replay:
    """One recording against one worker.

    Args:
        name: Number of the recording.
        client: Talks to the worker.
        base: Directory that holds the worker's, for messages with paths.
        ticks: Whether progress inside nodes is compared.
    """

    def __init__(self, name: str, client: TestClient[Any, Any], base: Path, *, ticks: bool) -> None:
        self._records = read(name)
        self._client = client
        self._base = str(base)
        self._ticks = ticks
        self._sockets: dict[str, _Socket] = {}
        self._ids: dict[str, str] = {}
        self._said: list[tuple[Any, Any]] = []

    async def run(self) -> None:
        """Do what the clients did, wait until every expected frame came, compare."""
        actions = [
            r for r in self._records if r["kind"] in ("http", "ws_open", "ws_out", "ws_closed")
        ]
        actions.sort(key=lambda record: float(record["t"]))
        while actions[-1]["kind"] == "ws_closed":
            actions.pop()  # the end of the recording: first everything must have come
        for record in actions:
            await self._until(record["t"])
            await self._act(record)
        await self._until(float("inf"))
        for socket in self._sockets.values():
            await socket.ws.close()
            await socket.reader

    def differences(self) -> list[str]:
        """Where the worker said something else than the real server."""
        found = []
        for expected, said in self._said:
            expected, said = _normal(expected, {}, ""), _normal(said, self._names(), self._base)
            if expected != said:
                found.append(f"expected {json.dumps(expected)}\n     got {json.dumps(said)}")
        for label, socket in self._sockets.items():
            expected = [_normal(f, {}, "") for f in self._expected(label, float("inf"))]
            said = [_normal(f, self._names(), self._base) for f in self._heard(socket)]
            if expected != said:
                found.append(f"frames of {label}: {_first_difference(expected, said)}")
        return found

    def heard(self, label: str) -> list[Any]:
        """All frames of one socket, normalised."""
        return [_normal(f, self._names(), self._base) for f in self._heard(self._sockets[label])]

    def expected(self, label: str) -> list[Any]:
        """All recorded frames of one socket, normalised."""
        return [_normal(f, {}, "") for f in self._expected(label, float("inf"))]

    def _names(self) -> dict[str, str]:
        return {mine: recorded for recorded, mine in self._ids.items()}

    def _heard(self, socket: _Socket) -> list[Any]:
        return [frame for frame in socket.frames if self._ticks or not is_tick(frame)]

    def _expected(self, label: str, until_t: float) -> list[Any]:
        frames = []
        for record in self._records:
            if record.get("label") != label or record["t"] > until_t:
                continue
            if record["kind"] == "ws_in" and (self._ticks or not is_tick(record["text"])):
                frames.append(record["text"])
            elif record["kind"] == "ws_in_bin":
                frames.append({k: v for k, v in record.items() if k not in ("t", "kind", "label")})
        return frames

    async def _until(self, t: float) -> None:
        """Wait until each socket heard what it had heard by then in the recording."""
        async with asyncio.timeout(PATIENCE_S):
            for label, socket in self._sockets.items():
                wanted = len(self._expected(label, t))
                while len(self._heard(socket)) < wanted and not socket.reader.done():
                    await asyncio.sleep(0.001)

    async def _act(self, record: dict[str, Any]) -> None:
        match record["kind"]:
            case "ws_open":
                ws = await self._client.ws_connect(record["url"])
                socket = _Socket(ws, asyncio.create_task(asyncio.sleep(0)))
                socket.reader = asyncio.create_task(_listen(ws, socket.frames))
                self._sockets[record["label"]] = socket
            case "ws_closed":
                await self._sockets[record["label"]].ws.close()
            case "ws_out":
                await self._sockets[record["label"]].ws.send_json(record["text"])
            case "http":
                await self._request(record)

    async def _request(self, record: dict[str, Any]) -> None:
        path = self._renamed(record["path"])
        answer = await self._client.request(
            record["method"],
            URL(path, encoded=True),
            data=self._body(record),
            headers=record.get("request_headers"),
            skip_auto_headers=["Content-Type"] if record["request"] is None else None,
        )
        content = await answer.read()
        expected = {"status": record["status"], "ctype": record["ctype"]}
        said = {"status": answer.status, "ctype": answer.headers.get("Content-Type", "")}
        said["headers"] = sorted(set(record.get("headers", [])) & _names(answer.headers))
        expected["headers"] = record.get("headers", [])
        if record["ctype"].startswith("application/json"):
            body = json.loads(content)
            expected["body"], said["body"] = record["response"], body
            if record["path"] == "/prompt" and isinstance(body, dict) and "prompt_id" in body:
                self._ids[record["response"]["prompt_id"]] = body["prompt_id"]
            if _SHAPE_ONLY.match(record["path"]):
                expected["body"], said["body"] = _shape(expected["body"]), _shape(said["body"])
        elif record["ctype"].startswith("text/"):
            expected["body"], said["body"] = record["response"], content.decode()
        if _UNCOMPARED.match(record["path"]):
            expected.pop("body", None)
            said.pop("body", None)
        where = f"{record['method']} {record['path']}"
        self._said.append(({"at": where, **expected}, {"at": where, **said}))

    def _body(self, record: dict[str, Any]) -> Any:
        request = record["request"]
        if record["path"].startswith("/upload/"):
            return _form(record)
        if request is None or request == "empty body":
            return None
        if isinstance(request, str):
            return request.encode()
        return self._renamed(json.dumps(request)).encode()

    def _renamed(self, text: str) -> str:
        """The same text with this worker's prompt ids; longest names first."""
        for recorded in sorted(self._ids, key=len, reverse=True):
            text = re.sub(rf"{re.escape(recorded)}(?![0-9])", self._ids[recorded], text)
        return text


async def _listen(ws: ClientWebSocketResponse, frames: list[Any]) -> None:
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            frames.append(json.loads(message.data))
        elif message.type is WSMsgType.BINARY:
            frames.append(_binary(message.data))


def _binary(frame: bytes) -> dict[str, Any]:
    event, length = struct.unpack_from(">II", frame)
    if event == 3:
        node, text = frame[8 : 8 + length], frame[8 + length :]
        return {"event_type": 3, "node_id": node.decode(), "text": text.decode()}
    if event == 4:
        metadata = json.loads(frame[8 : 8 + length])
        magic = frame[8 + length : 12 + length].hex()
        return {"event_type": 4, "metadata": metadata, "image_magic": magic}
    return {"event_type": 1, "image_type": length, "image_magic": frame[8:12].hex()}


def _form(record: dict[str, Any]) -> FormData:
    request, name = record["request"], "pic.png"
    if isinstance(record["response"], dict):
        name = re.sub(r" \(\d+\)", "", record["response"]["name"])
    if isinstance(request, dict):
        fields = {key: request[key] for key in ("type", "subfolder")}
        fields["original_ref"] = json.dumps(request["original_ref"])
        mode = "RGBA"
    else:
        fields, mode = dict(_UPLOADS[request]), "RGB"
    colour = fields.pop("colour", "green")
    form = FormData(fields, default_to_multipart=True)
    if colour:
        buffer = io.BytesIO()
        Image.new(mode, (64, 64), colour).save(buffer, "PNG")
        form.add_field("image", buffer.getvalue(), filename=name, content_type="image/png")
    return form


def _names(headers: Mapping[str, str]) -> set[str]:
    return {name.title() for name in headers}


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


_STAMPS = ("timestamp", "modified", "created", "t")


def _normal(value: Any, names: Mapping[str, str], base: str) -> Any:
    """A value without what differs from run to run."""
    if isinstance(value, dict):
        normal: dict[str, Any] = {
            names.get(key, key): 0 if key in _STAMPS else _normal(each, names, base)
            for key, each in value.items()
        }
        if isinstance(normal.get("traceback"), list):
            # Of a refused prompt it is the real server's alone.
            told = normal["traceback"] and "node_id" in normal
            normal["traceback"] = ["…"] if told else []
        if isinstance(normal.get("current_inputs"), dict):
            normal["current_inputs"] = dict.fromkeys(normal["current_inputs"], "…")
        if isinstance(normal.get("current_outputs"), list):
            normal["current_outputs"] = sorted(normal["current_outputs"])
        if isinstance(normal.get("errors"), list):
            normal["errors"] = sorted(normal["errors"], key=json.dumps)
        return normal
    if isinstance(value, list):
        return [_normal(each, names, base) for each in value]
    if not isinstance(value, str):
        return value
    value = names.get(value, value)
    value = re.sub(r"_\d{5}_\.", "_#_.", value)
    value = re.sub(r"(ComfyUI_temp_)[a-z]{5}", r"\1?", value)
    value = re.sub(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", "<uuid>", value)
    value = re.sub(r"executed in [0-9.]+ seconds", "executed in # seconds", value)
    return value.replace(base, "BASE") if base else value


def _first_difference(expected: list[Any], said: list[Any]) -> str:
    for number, (one, other) in enumerate(zip(expected, said, strict=False)):
        if one != other:
            return f"number {number}\nexpected {json.dumps(one)}\n     got {json.dumps(other)}"
    rest = expected[len(said) :] or said[len(expected) :]
    return f"{len(expected)} expected, {len(said)} came; the rest begins {json.dumps(rest[0])}"
