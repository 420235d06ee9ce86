"""JSON as ComfyUI writes it: also NaN, Infinity and lone surrogates."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def decode(text: str | bytes) -> Any:
    """Decode quickly, or leniently where the text is no strict JSON.

    Raises:
        ValueError: it is no JSON at all.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)


def encode(value: Any) -> bytes:
    """Strict JSON for browsers: NaN and infinities become null, odd text is escaped."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()
