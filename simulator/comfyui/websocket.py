"""The sockets of a worker: who gets which frame."""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from simulator.comfyui.node import Preview

_log = structlog.get_logger(__name__)

#: What the server answers to a client's feature flags, and at ``/features``.
FEATURES = {"supports_preview_metadata": True, "max_upload_size": 100 * 2**20}

_PREVIEW_IMAGE = 1
_TEXT = 3
_PREVIEW_WITH_METADATA = 4
_IMAGE_TYPES = {"JPEG": 1, "PNG": 2}
_MIME_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png"}


class Hub:
    """All client sockets by sid.

    Frames go through one queue, so that every client sees them in order; a frame
    for a sid that is not connected is dropped.

    Attributes:
        client_id: The sid of the running (or last) prompt; None: it named none.
        running_node: What a client that reconnects is told to be running.
    """

    def __init__(self, queue_info: Callable[[], Mapping[str, Any]]) -> None:
        self.client_id: str | None = None
        self.running_node: str | None = None
        self._queue_info = queue_info
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._flags: dict[str, Mapping[str, Any]] = {}
        self._frames: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()

    def send(self, event: str, data: Mapping[str, Any], sid: str | None = None) -> None:
        """Queue a JSON frame for one sid, or for everybody when it is None."""
        if self._sockets:
            self._frames.put_nowait((json.dumps({"type": event, "data": data}), sid))

    def send_status(self) -> None:
        """Tell everybody how long the queue is."""
        self.send("status", {"status": self._queue_info()})

    def send_text(self, node_id: str, text: str, sid: str | None) -> None:
        """Queue a binary text frame; it names the node but not the prompt."""
        name = node_id.encode()
        head = struct.pack(">II", _TEXT, len(name))
        self._frames.put_nowait((head + name + text.encode(), sid))

    def send_preview(self, preview: Preview, sid: str | None) -> None:
        """Queue a picture in the old format."""
        head = struct.pack(">II", _PREVIEW_IMAGE, _IMAGE_TYPES[preview.format])
        self._frames.put_nowait((head + preview.content, sid))

    def send_preview_with_metadata(
        self, preview: Preview, metadata: Mapping[str, Any], sid: str | None
    ) -> None:
        """Queue a picture that says which node of which prompt it shows."""
        text = json.dumps({**metadata, "image_type": _MIME_TYPES[preview.format]}).encode()
        head = struct.pack(">II", _PREVIEW_WITH_METADATA, len(text))
        self._frames.put_nowait((head + text + preview.content, sid))

    def wants_metadata(self, sid: str | None) -> bool:
        """Whether this client declared the newer preview format."""
        return bool(self._flags.get(sid or "", {}).get("supports_preview_metadata"))

    def is_connected(self, sid: str) -> bool:
        """Whether a socket of this sid is known."""
        return sid in self._sockets

    async def publish(self) -> None:
        """Send queued frames until cancelled."""
        while True:
            frame, sid = await self._frames.get()
            if sid is None:
                targets = list(self._sockets.values())
            else:
                targets = [self._sockets[sid]] if sid in self._sockets else []
            for socket in targets:
                await _send(socket, frame)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """``GET /ws``: one client, from its handshake to its end."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.query.get("clientId", "") or uuid.uuid4().hex
        self._sockets[sid] = socket
        self._flags[sid] = {}
        try:
            self.send("status", {"status": self._queue_info(), "sid": sid}, sid)
            if self.client_id == sid and self.running_node is not None:
                self.send("executing", {"node": self.running_node}, sid)
            await self._listen(socket, sid)
        finally:
            # Popped by sid, not by socket: an old socket that closes late silences the
            # newer one of the same sid. ComfyUI 0.3.64 does exactly that.
            self._sockets.pop(sid, None)
            self._flags.pop(sid, None)
        return socket

    async def close(self) -> None:
        """Close every socket."""
        for socket in list(self._sockets.values()):
            await socket.close()

    async def _listen(self, socket: web.WebSocketResponse, sid: str) -> None:
        first = True
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            flags = _feature_flags(message.data) if first else None
            first = False
            if flags is not None:
                self._flags[sid] = flags
                self.send("feature_flags", FEATURES, sid)


def _feature_flags(text: str) -> Mapping[str, Any] | None:
    try:
        message = json.loads(text)
    except ValueError:
        return None
    if not isinstance(message, dict) or message.get("type") != "feature_flags":
        return None
    flags: Mapping[str, Any] = message.get("data", {})
    return flags


async def _send(socket: web.WebSocketResponse, frame: str | bytes) -> None:
    try:
        if isinstance(frame, bytes):
            await socket.send_bytes(frame)
        else:
            await socket.send_str(frame)
    except (ConnectionError, RuntimeError) as error:
        _log.debug("frame not sent", error=str(error))
