"""HTTP and WebSockets between an agent and its workers, without a socket.

Takes the place of aiohttp's session below the real client: an agent's code runs as it is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from simulator.chaos.comfy import ComfyProcess, Socket
from simulator.chaos.loop import Actor

#: what the real session waits for an answer, seconds
_PATIENCE_S: Final = 5.0
_DELAY_S: Final = (0.0005, 0.004)


class Reply:
    """An answer that is read whole."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def read(self) -> bytes:
        """The body."""
        return self._body


class SocketReader:
    """The agent's end of a WebSocket."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    async def send_json(self, data: Any) -> None:
        """What an agent says is of no concern here."""

    async def receive(self) -> aiohttp.WSMessage:
        """The next frame, or that there will be none."""
        text = await self._socket.next()
        type_ = aiohttp.WSMsgType.CLOSED if text is None else aiohttp.WSMsgType.TEXT
        return aiohttp.WSMessage(type_, text, None)


class Wire:
    """One agent's way to the workers of its host; ``process_at``: who listens at a host name."""

    def __init__(
        self, actor: Actor, process_at: Callable[[str], ComfyProcess | None], rng: Random
    ) -> None:
        self._actor = actor
        self._process_at = process_at
        self._rng = rng

    @asynccontextmanager
    async def request(self, method: str, url: URL, **options: Any) -> AsyncIterator[Reply]:
        """One request, as ``aiohttp.ClientSession.request`` makes it.

        Raises:
            aiohttp.ClientConnectionError: nobody listens.
            TimeoutError: the worker does not answer.
        """
        await asyncio.sleep(self._rng.uniform(*_DELAY_S))
        process = self._listening(url)
        if process.frozen:
            await self._ask_frozen(process, method, url, options)
        yield self._answer(process, method, url, options)

    @asynccontextmanager
    async def ws_connect(
        self, url: str, *, params: Mapping[str, str], **_options: Any
    ) -> AsyncIterator[SocketReader]:
        """A socket, as ``aiohttp.ClientSession.ws_connect`` opens it.

        Raises:
            aiohttp.ClientConnectionError: nobody listens.
        """
        await asyncio.sleep(self._rng.uniform(*_DELAY_S))
        process, sid = self._listening(URL(url)), params["clientId"]
        if process.frozen:
            await asyncio.sleep(_PATIENCE_S)
            raise TimeoutError
        socket = process.sockets[sid] = Socket()
        try:
            yield SocketReader(socket)
        finally:
            socket.close()
            if process.sockets.get(sid) is socket:
                del process.sockets[sid]

    def _listening(self, url: URL) -> ComfyProcess:
        process = self._process_at(url.host or "")
        now = asyncio.get_running_loop().time()
        if self._actor.severed or process is None or not process.alive or now < process.up_at:
            raise aiohttp.ClientConnectionError(f"{url.host}: nobody listens")
        return process

    async def _ask_frozen(
        self, process: ComfyProcess, method: str, url: URL, options: Mapping[str, Any]
    ) -> None:
        """The kernel takes the request; the process reads it when it is let go on."""
        if method == "POST":
            process.waiting.append(lambda: _ignore(self._answer(process, method, url, options)))
        timeout = options.get("timeout")
        patience = timeout.total if timeout is not None and timeout.total else _PATIENCE_S
        await asyncio.sleep(min(patience, _PATIENCE_S))
        raise TimeoutError

    def _answer(
        self, process: ComfyProcess, method: str, url: URL, options: Mapping[str, Any]
    ) -> Reply:
        body = options.get("json") or json.loads(options.get("data") or "{}")
        match method, url.path.split("/")[1:]:
            case "POST", ["prompt"]:
                key = body["prompt"]["1"]["inputs"]["key"]
                process.post(body["prompt_id"], key, body["client_id"])
                return _json({})
            case "GET", ["history", uuid]:
                entry = process.history.get(uuid)
                return _json({} if entry is None else {uuid: entry})
            case "GET", ["queue"]:
                return _json(process.queue())
            case "GET", ["system_stats"]:
                return _json(process.stats())
            case "GET", ["object_info"]:
                return _json({})
            case "POST", ["interrupt"]:
                process.interrupt(body["prompt_id"])
            case "POST", ["queue"]:
                process.unqueue(body["delete"][0])
            case "POST", ["history"]:
                process.history.pop(body["delete"][0], None)
            case "POST", ["free"]:
                process.free()
            case _:
                return Reply(404, b"{}")
        return _json({})


def _json(value: Mapping[str, Any]) -> Reply:
    return Reply(200, msgspec.json.encode(value))


def _ignore(_reply: Reply) -> None:
    """Nobody waits for it any more."""
