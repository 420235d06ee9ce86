"""One worker's HTTP and WebSocket interface; the only place with ComfyUI's routes.

Errors:
    WorkerUnreachable: nobody answers, or answers what no ComfyUI would.
    FileRefused: a file is larger than it takes.

No redirect is followed: a custom node must not send us elsewhere. ``Origin``
and cookies are never sent.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from scheduler.workflow.passed_pictures import ROUTE
from worker_agent import loose_json

#: seconds until a worker whose event loop is busy (0.3.64 blocks it while it
#: builds /object_info, packs may for longer) counts as not answering
_PATIENCE: Final = aiohttp.ClientTimeout(total=5.0)
_SLOW: Final = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
#: bytes keep going, however many there are
_LONG: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=300.0)
_STREAM: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0)
_FLAGS: Final = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


class FileRefused(Exception):
    """The worker takes no file so large: raise its ``--max-upload-size``."""


class WorkerUnreachable(Exception):
    """The worker does not answer: look at its log and whether its process runs."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The worker queued the prompt."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The worker found the prompt invalid: ComfyUI's ``error`` and ``node_errors``."""

    error: dict[str, Any]
    node_errors: dict[str, Any]


def new_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A session for workers, gateways and agents: no cookies, no proxies of the environment.

    Args:
        tls: whose certificates are believed; None: those that the system believes.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=True if tls is None else tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=_PATIENCE,
    )


class ComfyClient:
    """Talks to one worker. The session is shared and not closed here."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._base = url.rstrip("/")

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return self._base

    # ── prompts ──────────────────────────────────────────────────────────────

    async def post_prompt(self, body: Mapping[str, Any]) -> Accepted | Rejected:
        """Queue a prompt. The body names ``prompt_id`` and ``client_id``."""
        # the standard encoder keeps NaN, which ComfyUI takes
        async with self._asked("POST", "/prompt", data=json.dumps(body), timeout=_SLOW) as reply:
            if reply.status == 200:
                await reply.read()
                return Accepted()
            if reply.status != 400:
                raise WorkerUnreachable(f"{self._base}/prompt answered {reply.status}")
            answer = _object(await reply.read())
            return Rejected(_dict(answer, "error"), _dict(answer, "node_errors"))

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The prompt's history entry, or None while it has none."""
        entry = (await self._json(f"/history/{prompt_id}")).get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def queued(self) -> set[str]:
        """Ids of the prompts that run or wait."""
        queue = await self._json("/queue")
        items = [*queue.get("queue_running", ()), *queue.get("queue_pending", ())]
        return {str(item[1]) for item in items if isinstance(item, list) and len(item) > 1}

    async def interrupt(self, prompt_id: str) -> None:
        """Stop the prompt if it runs; ComfyUI looks between steps only."""
        await self._post("/interrupt", {"prompt_id": prompt_id})

    async def unqueue(self, prompt_id: str) -> None:
        """Take the prompt out of the queue if it still waits there."""
        await self._post("/queue", {"delete": [prompt_id]})

    async def forget(self, prompt_id: str) -> None:
        """Drop the prompt from the worker's history, which holds it in memory."""
        await self._post("/history", {"delete": [prompt_id]})

    async def free(self) -> None:
        """Ask for all models and caches to be dropped once the worker is idle."""
        await self._post("/free", {"unload_models": True, "free_memory": True})

    # ── what it is ───────────────────────────────────────────────────────────

    async def object_info(self) -> dict[str, Any]:
        """All node classes; half a megabyte."""
        return await self._json("/object_info", timeout=_SLOW)

    async def system_stats(self) -> dict[str, Any]:
        """Versions and devices."""
        return await self._json("/system_stats")

    # ── files ────────────────────────────────────────────────────────────────

    async def upload(self, folder: str, name: str, content: Path) -> str:
        """Store an input file; the path below the input folder under which it now lies.

        An existing file of other bytes is never replaced (a prompt may be
        reading it, workers may share a folder): ComfyUI then picks a new name.
        """
        answer = await self._send({"type": "input", "subfolder": folder}, name, content)
        stored = str(answer.get("subfolder") or "").replace("\\", "/").strip("/")
        return f"{stored}/{answer['name']}" if stored else str(answer["name"])

    async def pass_picture(self, picture: str, content: Path) -> None:
        """Put a picture into the worker's memory (``scheduler.workflow.passed_pictures``)."""
        with content.open("rb") as file:
            async with self._asked("PUT", f"/{ROUTE}/{picture}", data=file, timeout=_LONG) as reply:
                if reply.status not in (200, 201):
                    raise WorkerUnreachable(f"{self._base}/{ROUTE} answered {reply.status}")

    async def replace(self, key: tuple[str, str, str], content: Path) -> None:
        """Write a file over one that the worker has made: type, subfolder and name."""
        type_, folder, name = key
        await self._send({"type": type_, "subfolder": folder, "overwrite": "true"}, name, content)

    async def put(self, key: tuple[str, str, str], content: Path) -> tuple[str, str, str]:
        """Store a file of any type; where it lies now: a taken name is counted on."""
        type_, folder, name = key
        answer = await self._send({"type": type_, "subfolder": folder}, name, content)
        return type_, folder, str(answer.get("name") or name)

    async def _send(self, fields: Mapping[str, str], name: str, content: Path) -> dict[str, Any]:
        """``POST /upload/image``, streamed from disk."""
        form = aiohttp.FormData()
        for field, value in fields.items():
            form.add_field(field, value)
        with content.open("rb") as file:
            form.add_field("image", file, filename=name, content_type="application/octet-stream")
            async with self._asked("POST", "/upload/image", data=form, timeout=_LONG) as reply:
                if reply.status == 413:
                    raise FileRefused(f"{self._base} takes no file as large as {name}")
                if reply.status != 200:
                    raise WorkerUnreachable(f"{self._base}/upload/image answered {reply.status}")
                return _object(await reply.read())

    @asynccontextmanager
    async def view(
        self, query: Mapping[str, str], headers: Mapping[str, str], *, method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """``/view`` with the caller's query and headers, to be streamed."""
        async with self._asked(
            method, "/view", params=query, headers=headers, timeout=_STREAM
        ) as reply:
            yield reply

    @asynccontextmanager
    async def get(
        self, path: str, query: str, headers: Mapping[str, str], *, method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Any route by GET or HEAD; ``path`` and ``query`` are still encoded."""
        raw = f"/{path}?{query}" if query else f"/{path}"
        async with self._asked(method, raw, headers=headers, timeout=_STREAM) as reply:
            yield reply

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: aiohttp.StreamReader | None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A route of a node pack; ``path`` and ``query`` are still encoded."""
        raw = f"/{path}?{query}" if query else f"/{path}"
        async with self._asked(method, raw, headers=headers, data=body, timeout=_STREAM) as reply:
            yield reply

    # ── the socket ───────────────────────────────────────────────────────────

    @asynccontextmanager
    async def socket(self, sid: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The stream of frames for ``sid``, our flags sent.

        The sid must be nobody else's, and its last socket must be closed at the
        worker's end (0.3.64 otherwise drops the new one with the old one).
        """
        try:
            async with self._session.ws_connect(
                f"{self._base}/ws",
                params={"clientId": sid},
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            ) as socket:
                await socket.send_json(_FLAGS)
                yield socket
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise WorkerUnreachable(f"{self._base}/ws: {_short(error)}") from error

    # ── plumbing ─────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(
                method, URL(self._base + path, encoded=True), allow_redirects=False, **options
            ) as reply:
                yield reply
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise WorkerUnreachable(f"{self._base}: {_short(error)}") from error

    async def _json(self, path: str, **options: Any) -> dict[str, Any]:
        async with self._asked("GET", path, **options) as reply:
            if reply.status != 200:
                raise WorkerUnreachable(f"{self._base}{path} answered {reply.status}")
            return _object(await reply.read())

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        async with self._asked("POST", path, json=body) as reply:
            if reply.status != 200:
                raise WorkerUnreachable(f"{self._base}{path} answered {reply.status}")


def _object(body: bytes) -> dict[str, Any]:
    try:
        decoded = loose_json.decode(body)
    except ValueError as error:
        raise WorkerUnreachable("the worker's answer is no JSON") from error
    if not isinstance(decoded, dict):
        raise WorkerUnreachable("the worker's answer is no JSON object")
    return decoded


def _dict(answer: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = answer.get(key)
    return found if isinstance(found, dict) else {}


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
