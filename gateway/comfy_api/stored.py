"""A prompt's body as the ledger keeps it, and ComfyUI's queue item made of it.

Bodies hold whole workflows, so reading them back touches only their outer
braces: what clients and workers get of them is passed on as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct


class StoredPrompt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body. ``secrets`` are for the worker alone: no route ever shows them."""

    #: node id → node, values coerced as ComfyUI's validation does, user's names
    prompt: Raw
    #: as posted, without ``client_id`` and secrets
    extra_data: Raw
    #: node ids to execute; empty: not validated, the worker decides
    outputs: Raw
    client_id: str | None = None
    #: fields of ``extra_data`` that only the worker may see
    secrets: dict[str, Any] = {}


_decode = msgspec.json.Decoder(StoredPrompt).decode


def encode_body(
    *,
    prompt: Mapping[str, Any],
    extra_data: Mapping[str, Any],
    outputs: Sequence[str],
    client_id: str | None,
    secrets: Mapping[str, Any],
) -> bytes:
    """The body to store."""
    encode = msgspec.json.encode
    return encode(
        StoredPrompt(
            prompt=Raw(encode(prompt)),
            extra_data=Raw(encode(extra_data)),
            outputs=Raw(encode(outputs)),
            client_id=client_id,
            secrets=dict(secrets),
        )
    )


def decode_body(body: bytes) -> StoredPrompt:
    """The body, its parts still bytes.

    Raises:
        msgspec.DecodeError: it is none of ours.
    """
    return _decode(body)


def encode_stored(stored: StoredPrompt) -> bytes:
    """The body again."""
    return msgspec.json.encode(stored)


def item_tail(prompt_id: str, stored: StoredPrompt) -> bytes:
    """``queue_item`` encoded, without its number, which may change: all from the id on."""
    _, _, prompt, extra, outputs = queue_item(0, prompt_id, stored)
    name = msgspec.json.encode(prompt_id)
    return b"%b,%b,%b,%b]" % (name, bytes(prompt), bytes(extra), bytes(outputs))


def queue_item(number: int, prompt_id: str, stored: StoredPrompt) -> list[Any]:
    """``[number, prompt_id, prompt, extra_data, outputs]``, as ComfyUI lists a prompt."""
    extra = _with_client_id(stored.extra_data, stored.client_id)
    return [number, prompt_id, stored.prompt, extra, stored.outputs]


def _with_client_id(extra_data: Raw, client_id: str | None) -> Raw:
    if client_id is None:
        return extra_data
    fields = bytes(extra_data).strip()[1:-1].strip()
    own = b'"client_id":' + msgspec.json.encode(client_id)
    return Raw(b"{" + (fields + b"," if fields else b"") + own + b"}")
