"""Whoever posts: one client with one websocket, as a person's browser or script has it."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

#: frames that end a prompt, as ComfyUI names them
_ENDS: Final = {
    "execution_success": "success",
    "execution_error": "error",
    "execution_interrupted": "interrupted",
}


@dataclass(slots=True)
class Posted:
    """A prompt and what its client was told of it; times are seconds since the epoch."""

    case: str
    #: "": it was refused
    prompt_id: str
    posted_at: float
    started_at: float | None = None
    ended_at: float | None = None
    #: ``success``, ``interrupted``, ``refused: …``, ``error: TYPE``, ``no end``
    result: str = "no end"
    #: frames that ended it: more than one is a fault
    ends: int = 0
    #: steps of the running node that its client was told of
    step: int = 0
    #: it has started, or ended without
    begun: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    done: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def succeeded(self) -> bool:
        """It ended well."""
        return self.result == "success"


class Seat:
    """One client.

    Args:
        http: connections to use.
        url: of a ComfyUI or of vramgate.
        headers: the credential, where one is needed.
    """

    def __init__(
        self, http: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = dict(headers or {})
        self._client_id = uuid.uuid4().hex
        self._posted: dict[str, Posted] = {}
        #: frames of prompts whose POST has not been answered yet
        self._early: list[dict[str, Any]] = []
        self._in_flight = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Seat]:
        """Connect the websocket and listen until the end."""
        where = f"{self._url}/ws?clientId={self._client_id}"
        async with self._http.ws_connect(where, headers=self._headers, max_msg_size=0) as socket:
            listening = asyncio.create_task(self._listen(socket))
            try:
                yield self
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def post(self, case: str, graph: Mapping[str, Any]) -> Posted:
        """Queue one prompt; a refusal is a result too."""
        posted = Posted(case, "", time.time())
        body = {"prompt": graph, "client_id": self._client_id}
        self._in_flight += 1
        try:
            async with self._http.post(
                f"{self._url}/prompt", json=body, headers=self._headers
            ) as answer:
                text = await answer.text()
        finally:
            self._in_flight -= 1
        if answer.status == 200:
            posted.prompt_id = json.loads(text)["prompt_id"]
            self._posted[posted.prompt_id] = posted
            early, self._early = self._early, []
            for frame in early:
                self._take(frame)
        else:
            posted.result = f"refused: {answer.status} {text[:200]}"
            posted.begun.set()
            posted.done.set()
        return posted

    async def history(self, prompt_id: str) -> Mapping[str, Any]:
        """What ``/history`` tells of one prompt."""
        where = f"{self._url}/history/{prompt_id}"
        async with self._http.get(where, headers=self._headers) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def jobs(self, prompt_id: str) -> int:
        """How many jobs with that id its user is shown."""
        async with self._http.get(f"{self._url}/api/jobs", headers=self._headers) as answer:
            found = await answer.json()
        return sum(job["id"] == prompt_id for job in found["jobs"])

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._take(json.loads(message.data))

    def _take(self, frame: dict[str, Any]) -> None:
        kind, data = frame.get("type"), frame.get("data") or {}
        if kind not in _ENDS and kind not in ("execution_start", "progress"):
            return
        posted = self._posted.get(data.get("prompt_id", ""))
        if posted is None:
            if self._in_flight:
                self._early.append(frame)
            return
        if kind == "execution_start":
            posted.started_at = posted.started_at or time.time()
            posted.begun.set()
            return
        if kind == "progress":
            posted.step = int(data.get("value", 0))
            return
        posted.ends += 1
        posted.ended_at = time.time()
        posted.result = _ENDS[kind]
        if kind == "execution_error":
            posted.result += f": {data.get('exception_type', '')}"
        posted.begun.set()
        posted.done.set()


async def wait_all(posted: Sequence[Posted], within_s: float, *, enough: int | None = None) -> None:
    """Until all (or ``enough`` of them) have ended, or that long; others have ``no end``."""
    waiting = [asyncio.create_task(one.done.wait()) for one in posted]
    wanted = len(waiting) if enough is None else min(enough, len(waiting))
    try:
        async with asyncio.timeout(within_s):
            for ended in itertools.islice(asyncio.as_completed(waiting), wanted):
                await ended
    except TimeoutError:
        return
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
