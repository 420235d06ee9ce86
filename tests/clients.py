"""A ComfyUI API client in the style of the scripts people write: POST, socket, history, view.

It knows nothing of vramgate but how to send a key.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp


def image_prompt(color: int = 0xFF0000, prefix: str = "pic", size: int = 64) -> dict[str, Any]:
    """EmptyImage → SaveImage: the smallest graph with a picture."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": size, "height": size, "batch_size": 1, "color": color},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def sampling_prompt(
    seed: int = 1,
    *,
    checkpoint: str = "sd15.safetensors",
    size: int = 512,
    batch: int = 1,
    steps: int = 4,
    prefix: str = "sample",
) -> dict[str, Any]:
    """The text-to-image graph of every tutorial."""
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": size, "height": size, "batch_size": batch},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a gate", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": seed,
                "steps": steps,
                "cfg": 7.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["8", 0], "filename_prefix": prefix},
        },
    }


def ends(frame: dict[str, Any], prompt_id: str) -> bool:
    """Whether this frame says that nothing of the prompt will follow."""
    data = frame["data"]
    return (
        frame["type"] == "executing" and data["node"] is None and data.get("prompt_id") == prompt_id
    )


class Refused(Exception):
    """The server refused a prompt: status and decoded body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Client:
    """One artist's script."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None
    ) -> None:
        self.http = session
        self.url = url.rstrip("/")
        self.headers = headers or {}
        self.client_id = uuid.uuid4().hex

    async def get(self, path: str, **params: str) -> Any:
        async with self.http.get(self.url + path, params=params, headers=self.headers) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def post(self, path: str, body: Any) -> aiohttp.ClientResponse:
        answer = await self.http.post(self.url + path, json=body, headers=self.headers)
        await answer.read()
        return answer

    async def queue(self, prompt: dict[str, Any], **more: Any) -> str:
        body = {"prompt": prompt, "client_id": self.client_id, **more}
        answer = await self.post("/prompt", body)
        if answer.status != 200:
            raise Refused(answer.status, json.loads(await answer.text()))
        return str((await answer.json())["prompt_id"])

    async def view(self, image: dict[str, str]) -> bytes:
        async with self.http.get(self.url + "/view", params=image, headers=self.headers) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def images(self, prompt_id: str) -> list[dict[str, str]]:
        entry = (await self.get(f"/history/{prompt_id}"))[prompt_id]
        return [image for out in entry["outputs"].values() for image in out.get("images", [])]

    async def ended(self, prompt_id: str, within_s: float = 60) -> dict[str, Any]:
        """Poll the history until the prompt is there, as scripts without a socket do."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self.get(f"/history/{prompt_id}")
                if prompt_id in found:
                    entry: dict[str, Any] = found[prompt_id]
                    return entry
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        async with self.http.ws_connect(
            f"{self.url}/ws?clientId={self.client_id}", headers=self.headers
        ) as ws:
            yield Socket(ws)


class Socket:
    """The client's WebSocket, and everything that came over it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.frames: list[dict[str, Any]] = []
        self.binary: list[bytes] = []

    async def until_at_work(self, prompt_id: str, within_s: float = 60) -> None:
        """Read until the worker says that it executes a node of this prompt."""
        async with asyncio.timeout(within_s):
            async for message in self.ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.binary.append(message.data)
                    continue
                frame = json.loads(message.data)
                self.frames.append(frame)
                if frame["type"] == "executing" and frame["data"]["prompt_id"] == prompt_id:
                    return
        raise ConnectionError("the socket closed before the prompt was at work")

    async def until_done(self, prompt_id: str, within_s: float = 60) -> list[dict[str, Any]]:
        """Read until ``executing`` null of this prompt; the JSON frames read on the way."""
        start = len(self.frames)
        async with asyncio.timeout(within_s):
            async for message in self.ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self.binary.append(message.data)
                    continue
                frame = json.loads(message.data)
                self.frames.append(frame)
                if ends(frame, prompt_id):
                    return self.frames[start:]
        raise ConnectionError("the socket closed before the prompt ended")
