"""An artist of a soak: sits at a browser, posts, looks, loses the line and comes back."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import uuid
from collections import Counter
from typing import Any, Final

import aiohttp
from PIL import Image

from bench.soak_books import Posted
from bench.soak_studio import Studio, User
from tests.clients import ends, image_prompt, sampling_prompt

_FLAGS: Final = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
#: what a browser's page asks for when it opens
_PAGE: Final = ("/", "/object_info", "/settings", "/users", "/system_stats", "/api/userdata?dir=w")
#: looks that come and go with each ``status``: of the older frontend, and of the newer
_LOOKS: Final = (("/queue", "/history?max_items=64"), ("/api/jobs?limit=64",))
#: unfinished prompts with which people wait, so that a slow machine makes no endless queue
_PATIENCE: Final = 6
#: seconds until a page connects again
_RETRY_S: Final = 0.2


class Artist:
    """Sits at a browser for a while, goes away, comes back."""

    def __init__(self, studio: Studio, user: User) -> None:
        self._studio = studio
        self._user = user
        self._looks = studio.random.choice(_LOOKS)
        self._mine: list[Posted] = []
        self._changed = asyncio.Event()
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def run(self) -> None:
        """Until the studio closes."""
        while not self._studio.closing.is_set():
            await self._studio.wait(20 * 60)
            await self._sit()

    async def _sit(self) -> None:
        studio, client_id = self._studio, uuid.uuid4().hex
        leaves = asyncio.create_task(studio.wait(90 * 60))
        async with studio.session(self._user) as http:
            beside = [
                asyncio.create_task(self._listen(http, client_id)),
                asyncio.create_task(self._refresh(http)),
            ]
            studio.pages[client_id] = self._user
            try:
                for path in _PAGE:
                    await studio.get(http, path)
                while not leaves.done():
                    await studio.wait(90)
                    await self._act(http, client_id)
            finally:
                del studio.pages[client_id]
                leaves.cancel()
                for task in beside:
                    task.cancel()
                results = await asyncio.gather(*beside, return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                studio.books.wrong("client_broke", repr(error))
        studio.books.counts["sittings"] += 1

    async def _act(self, http: aiohttp.ClientSession, client_id: str) -> None:
        chance = self._studio.random.random()
        if self._studio.closing.is_set():
            return
        if chance < 0.12:
            await self._drop()
        elif chance < 0.2:
            await self._stop_one(http)
        elif chance < 0.3:
            await self._save_settings(http)
        elif sum(1 for job in self._mine if not job.settled) >= _PATIENCE:
            self._studio.books.counts["waits"] += 1
        elif chance < 0.45:
            await self._post_upload(http, client_id)
        else:
            for _ in range(self._studio.random.choice((1, 1, 1, 2, 4))):
                await self._post(http, client_id)

    async def _post(self, http: aiohttp.ClientSession, client_id: str) -> None:
        colour = self._studio.colour()
        prompt = image_prompt(colour, prefix=self._user.name)
        if self._studio.random.random() < 0.6:
            steps = self._studio.random.randint(4, 20)
            sampling = sampling_prompt(colour, steps=steps)
            del sampling["9"]
            sampling["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
            prompt = {**sampling, "21": prompt["1"], "22": prompt["2"]}
            prompt["22"]["inputs"]["images"] = ["21", 0]
        await self._queue(http, client_id, colour, prompt)

    async def _post_upload(self, http: aiohttp.ClientSession, client_id: str) -> None:
        """Send a picture and use it at once, maybe through another gateway."""
        colour = self._studio.colour()
        form = aiohttp.FormData()
        name = f"drop{self._studio.random.randint(0, 20)}.png"
        form.add_field("image", _picture(colour), filename=name, content_type="image/png")
        try:
            async with http.post(self._studio.url + "/upload/image", data=form) as answer:
                kept = json.loads(await answer.read())
        except (aiohttp.ClientError, OSError):
            self._studio.books.counts["upload_again"] += 1
            return
        self._studio.books.counts["uploads"] += 1
        prompt = image_prompt(0, prefix=self._user.name)
        prompt["1"] = {"class_type": "LoadImage", "inputs": {"image": kept["name"]}}
        await self._queue(http, client_id, colour, prompt)

    async def _queue(
        self, http: aiohttp.ClientSession, client_id: str, colour: int, prompt: Any
    ) -> None:
        job = await self._studio.post(http, self._user, colour, prompt, client_id=client_id)
        if job is not None:
            self._mine = [*self._mine[-20:], job]

    async def _stop_one(self, http: aiohttp.ClientSession) -> None:
        """Cancel a job that has not ended, in one of the ways that there are."""
        open_ = [job for job in self._mine if not job.settled]
        if not open_:
            return
        job = self._studio.random.choice(open_)
        job.cancelled = True
        path, body = self._studio.random.choice(
            (
                ("/queue", {"delete": [job.prompt_id]}),
                ("/interrupt", {"prompt_id": job.prompt_id}),
                (f"/api/jobs/{job.prompt_id}/cancel", {}),
            )
        )
        await self._send(http, path, body)
        self._studio.books.counts["cancels"] += 1

    async def _save_settings(self, http: aiohttp.ClientSession) -> None:
        await self._send(http, "/settings", {"Soak.Turn": self._studio.random.random()})
        await self._send(http, "/api/userdata/workflows%2Fsoak.json", {"nodes": []})

    async def _send(self, http: aiohttp.ClientSession, path: str, body: Any) -> None:
        try:
            async with http.post(self._studio.url + path, json=body) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, OSError):
            return
        if answer.status != 200:
            self._studio.books.wrong("refused", f"{answer.status} for {path}: {said[:100]!r}")

    async def _drop(self) -> None:
        """Lose the socket: politely as a reload does, or as a cable that is pulled."""
        held = self._socket
        if held is None or held.closed:
            return
        self._studio.books.counts["reconnects"] += 1
        wire = held.get_extra_info("socket")
        if wire is not None and self._studio.random.random() < 0.5:
            wire.shutdown(socket.SHUT_RDWR)
        else:
            await held.close()

    async def _listen(self, http: aiohttp.ClientSession, client_id: str) -> None:
        url = f"{self._studio.url}/ws?clientId={client_id}"
        while True:
            try:
                async with http.ws_connect(url, max_msg_size=0) as held:
                    self._socket = held
                    await held.send_json(_FLAGS)
                    await self._hear(held)
            except (aiohttp.ClientError, OSError):
                self._studio.books.counts["socket_again"] += 1
            await asyncio.sleep(_RETRY_S)

    async def _hear(self, held: aiohttp.ClientWebSocketResponse) -> None:
        ended: Counter[str] = Counter()
        async for message in held:
            self._studio.books.counts["frames"] += 1
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            if frame["type"] == "status":
                self._changed.set()
            prompt_id = frame["data"].get("prompt_id", "")
            if ends(frame, prompt_id):
                ended[prompt_id] += 1
                if ended[prompt_id] > 1:
                    self._studio.books.wrong("end_shown_twice", prompt_id)

    async def _refresh(self, http: aiohttp.ClientSession) -> None:
        """Look again whenever the count has changed, and open what is new."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for path in self._looks:
                await self._studio.get(http, path)
            new = [job for job in self._mine if job.settled]
            self._mine = [job for job in self._mine if not job.settled]
            for job in new:
                if self._studio.random.random() < 0.3:
                    await self._studio.look_at(http, job)


def _picture(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (colour >> 16, colour >> 8 & 0xFF, colour & 0xFF)).save(out, "png")
    return out.getvalue()
