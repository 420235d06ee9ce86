"""Prompts for the simulated worker, and a client that waits for their end."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import WSMsgType

Prompt = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node."""
    return {"class_type": class_type, "inputs": inputs}


def picture(colour: int = 0, prefix: str = "p", side: int = 16) -> Prompt:
    """A picture without any model."""
    return {
        "1": node("EmptyImage", width=side, height=side, batch_size=1, color=colour),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
    }


def stable_diffusion(
    checkpoint: str = "sd15.safetensors",
    side: int = 512,
    *,
    batch: int = 1,
    steps: int = 2,
    seed: int = 1,
) -> Prompt:
    """The default text-to-image workflow."""
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "5": node("EmptyLatentImage", width=side, height=side, batch_size=batch),
        "6": node("CLIPTextEncode", text="a house", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="", clip=["4", 1]),
        "3": node(
            "KSampler",
            seed=seed,
            steps=steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            model=["4", 0],
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
        ),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="sd"),
    }


class Studio:
    """One client with a socket of its own."""

    def __init__(self, client: Any, ws: Any) -> None:
        self.client = client
        self._ws = ws
        self.frames: list[Any] = []

    @classmethod
    async def open(cls, client: Any, *, metadata: bool = False) -> Studio:
        """Connect as ``me``."""
        ws = await client.ws_connect("/ws?clientId=me")
        if metadata:
            flags = {"supports_preview_metadata": True}
            await ws.send_json({"type": "feature_flags", "data": flags})
        return cls(client, ws)

    async def run(self, prompt: Prompt, **body: Any) -> dict[str, Any]:
        """Run a prompt to its end; returns its history entry."""
        answer = await self.client.post(
            "/prompt", json={"prompt": prompt, "client_id": "me", **body}
        )
        accepted = await answer.json()
        assert answer.status == 200, accepted
        return await self.wait(accepted["prompt_id"])

    async def wait(self, prompt_id: str) -> dict[str, Any]:
        """Listen until a prompt ended; returns its history entry."""
        self.frames = []
        while True:
            message = await self._ws.receive(timeout=20)
            if message.type is not WSMsgType.TEXT:
                assert message.type is WSMsgType.BINARY
                self.frames.append(message.data)
                continue
            frame = json.loads(message.data)
            self.frames.append(frame)
            if frame["type"] == "executing" and frame["data"]["node"] is None:
                break
        entry: dict[str, Any] = (await self.json(f"/history/{prompt_id}"))[prompt_id]
        return entry

    async def json(self, path: str) -> Any:
        """What a GET says."""
        return await (await self.client.get(path)).json()

    def cached(self) -> list[str]:
        """The nodes that the last prompt found cached."""
        (frame,) = (
            f for f in self.frames if isinstance(f, dict) and f["type"] == "execution_cached"
        )
        nodes: list[str] = frame["data"]["nodes"]
        return nodes


def status(entry: dict[str, Any]) -> str:
    """``success`` or ``error``."""
    word: str = entry["status"]["status_str"]
    return word


def error(entry: dict[str, Any]) -> dict[str, Any]:
    """The error that ended a prompt."""
    name, data = entry["status"]["messages"][-1]
    assert name == "execution_error"
    found: dict[str, Any] = data
    return found
