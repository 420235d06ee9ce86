"""permessage-deflate (RFC 7692) at a price that an idle socket can pay.

aiohttp compresses all frames of a socket or none, and keeps a compressor and a
decompressor for each: some 90 KiB a socket. Here neither side carries context
from one message to the next, so nothing is kept between messages: what the client
sends is inflated by itself, and a frame meant for many sockets is deflated once,
by whoever makes it, and sent as it is.

This is the one file that knows aiohttp's inside (``_handshake``, ``_post_start``,
``_handle_frame``, ``_payload_parser``, ``_req``); ``tests/unit/gateway/test_deflate.py`` fails if that changes.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, cast

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, hdrs, web
from aiohttp.http import WebSocketReader, WebSocketWriter
from multidict import CIMultiDict

#: frames below this size travel as they are. Source: 4 KiB fit three TCP segments,
#: deflated they need one; below that there is little to win.
LEAST_BYTES: Final = 4096
#: RFC 7692 7.2.1: the end of each deflated message, which is left away
_TAIL: Final = b"\x00\x00\xff\xff"
_NEGOTIATED: Final = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
_WINDOW_BITS: Final = 15
#: the bit of a frame's first byte that marks it as deflated
_RSV1: Final = 0x40
#: RFC 6455 5.2: a frame's first byte of a message that is whole
_FIN: Final = 0x80
#: bytes that may wait at a connection for a frame to be put behind them without a look at
#: whether the client reads: as much as aiohttp's own writer lets wait
_AT_ONCE_BYTES: Final = 2**16


def wire_frame(payload: bytes, opcode: WSMsgType, *, deflated: bool) -> bytes:
    """A server's frame as it travels (RFC 6455 5.2: whole, and not masked)."""
    first = _FIN | opcode | (_RSV1 if deflated else 0)
    size = len(payload)
    if size < 126:
        head = bytes((first, size))
    elif size < 2**16:
        head = struct.pack("!BBH", first, 126, size)
    else:
        head = struct.pack("!BBQ", first, 127, size)
    return head + payload


def deflate(message: bytes) -> bytes:
    """One message deflated by itself; for ``DeflatingResponse.send_deflated``."""
    # level 1: a quarter of the time of the default for a tenth more bytes
    compressor = zlib.compressobj(1, zlib.DEFLATED, -_WINDOW_BITS)
    packed = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return packed.removesuffix(_TAIL)


def inflate(packed: bytes, limit_bytes: int) -> bytes:
    """The message in ``packed``.

    Raises:
        WebSocketError: it is longer than the limit, or is no deflated message.
    """
    try:
        message = zlib.decompressobj(-_WINDOW_BITS).decompress(packed + _TAIL, limit_bytes + 1)
    except zlib.error as error:
        raise WebSocketError(WSCloseCode.INVALID_TEXT, "not a deflated message") from error
    if len(message) > limit_bytes:
        raise WebSocketError(
            WSCloseCode.MESSAGE_TOO_BIG, f"message of more than {limit_bytes} bytes"
        )
    return message


class _Reader(WebSocketReader):  # type: ignore[misc,unused-ignore]
    """Inflates each message by itself and forgets how."""

    limit_bytes = 0

    def _handle_frame(
        self, fin: bool, opcode: int, payload: bytes | bytearray, compressed: int
    ) -> None:
        # what comes in pieces is put together, and inflated, by aiohttp
        if compressed and fin and opcode in (WSMsgType.TEXT, WSMsgType.BINARY):
            payload, compressed = inflate(bytes(payload), self.limit_bytes), 0
        super()._handle_frame(fin, opcode, payload, compressed)


class DeflatingResponse(web.WebSocketResponse):
    """A WebSocket whose sender decides frame by frame what is deflated.

    Args:
        heartbeat: seconds between pings.
        max_msg_size: bytes of a client's message, inflated.
        timeout: seconds that a client gets to answer our close.
    """

    def __init__(self, *, heartbeat: float, max_msg_size: int, timeout: float) -> None:
        super().__init__(
            heartbeat=heartbeat, max_msg_size=max_msg_size, timeout=timeout, compress=True
        )
        #: the client understands deflated frames; known once prepared
        self.deflates = False

    def send_at_once(self, wire: bytes) -> bool:
        """Write a frame of ``wire_frame`` now; False: it is closed, or too much waits there."""
        transport = None if self._req is None else self._req.transport
        if self.closed or transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _AT_ONCE_BYTES:
            return False
        transport.write(wire)
        return True

    async def send_deflated(self, packed: bytes) -> None:
        """Send a text message that ``deflate`` has packed."""
        # the opcode goes into the frame's first byte as it is, and the mark beside it
        await self.send_frame(packed, cast("WSMsgType", WSMsgType.TEXT | _RSV1))

    def _handshake(
        self, request: web.BaseRequest
    ) -> tuple[CIMultiDict[str], str | None, int, bool]:
        headers, protocol, window_bits, _ = super()._handshake(request)
        headers.pop(hdrs.SEC_WEBSOCKET_EXTENSIONS, None)
        # who wants a smaller window from us gets none: frames are packed once for all
        if window_bits != _WINDOW_BITS:
            return headers, protocol, 0, False
        headers[hdrs.SEC_WEBSOCKET_EXTENSIONS] = _NEGOTIATED
        return headers, protocol, window_bits, True

    def _post_start(
        self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter
    ) -> None:
        super()._post_start(request, protocol, writer)
        if not self.compress or self._reader is None:
            return
        self.deflates = True
        writer.compress = 0
        reader = _Reader(self._reader, self._max_msg_size, compress=True, decode_text=True)
        reader.limit_bytes = self._max_msg_size
        # nothing was read yet: clients wait for the handshake's answer before they speak
        self._parser = request.protocol._payload_parser = reader
