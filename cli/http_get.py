"""One plain GET on this machine, without an HTTP library: the supervisor starts quickly."""

from __future__ import annotations

import asyncio
from typing import Final

_LARGEST: Final = 2**20


async def http_get(host: str, port: int, path: str, timeout_s: float) -> tuple[int, bytes] | None:
    """Status and body, or None where nothing answers in time (or answers no HTTP)."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _get(host, port, path)
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


async def _get(host: str, port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        # HTTP/1.0: the body is neither chunked nor followed by anything
        named = f"[{host}]" if ":" in host else host
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {named}:{port}\r\n\r\n".encode())
        await writer.drain()
        answer = await reader.read(_LARGEST)
        while chunk := await reader.read(_LARGEST):
            answer += chunk
            if len(answer) > _LARGEST:
                raise ValueError("larger than anything that is asked for here")
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(None, 2)[1]), body
