"""One version of node definitions, its bytes per class, and ``/object_info`` made of them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Self

import msgspec

from gateway.object_info import UserFiles, file_classes, for_user, lists_outputs
from gateway.shelf import Shelf
from scheduler.workflow.node_class import Described

#: of answers that are not compressed; few clients want them so, and each is half a megabyte
_PLAIN_BYTES: Final = 16 * 2**20
#: of compressed ones, 100 KiB each
_PACKED_BYTES: Final = 32 * 2**20
#: seconds that they are kept after their last use; with each upload there is a new one
_IDLE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Packed:
    """One serialised answer. ``etag`` is strong, without quotes; gzip's differs by ``-gz``."""

    etag: str
    plain: Callable[[], bytes]
    gzipped: bytes


@dataclass(slots=True)
class Definitions:
    """Definitions as some users see them, but for their own files."""

    info: Mapping[str, Any]
    #: classes that list files of users
    files: frozenset[str]
    #: whether any combo lists the user's outputs (else they need not be asked for)
    lists_outputs: bool
    pieces: Mapping[str, bytes]
    etag: str
    #: answers by version of the user's files
    packed: Shelf[Packed] = field(default_factory=lambda: Shelf(_PACKED_BYTES, idle_s=_IDLE_S))
    #: whole plain answers by the same
    plain: Shelf[bytes] = field(default_factory=lambda: Shelf(_PLAIN_BYTES, idle_s=_IDLE_S))

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """Serialise each class once."""
        encoder = msgspec.json.Encoder()
        pieces = {name: encoder.encode(node) for name, node in info.items()}
        digest = blake2b(digest_size=12)
        for name, piece in pieces.items():
            digest.update(name.encode() + b"\0" + piece)
        return cls(
            Described(info), file_classes(info), lists_outputs(info), pieces, digest.hexdigest()
        )

    def pack(self, files: UserFiles, version: str) -> Packed:
        """The answer for a user with these files; ``version`` names them."""
        own = {
            name: msgspec.json.encode(for_user(name, self.info[name], files)) for name in self.files
        }

        def whole() -> bytes:
            pieces = (
                msgspec.json.encode(name) + b":" + own.get(name, piece)
                for name, piece in self.pieces.items()
            )
            return b"{" + b",".join(pieces) + b"}"

        def plain() -> bytes:
            kept = self.plain.get(version)
            if kept is None:
                kept = whole()
                self.plain.put(version, kept, len(kept))
            return kept

        # kept only once somebody asks for it so, and never from a thread
        return Packed(f"{self.etag}-{version}", plain, gzip.compress(whole(), 5, mtime=0))
