"""A GPU's vitals ↔ one field of its hash: scripts need not look inside."""

from __future__ import annotations

import msgspec

from scheduler.fleet import Vitals

_decode = msgspec.json.Decoder(Vitals).decode


def encode_vitals(vitals: Vitals) -> bytes:
    """As JSON, by name: a reader of another version takes what it knows."""
    return msgspec.json.encode(vitals)


def decode_vitals(field: bytes | None) -> Vitals:
    """The same, back; a record of an older version has none."""
    return _decode(field) if field else Vitals()
