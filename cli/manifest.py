"""What a backup says of itself: ``manifest.json``, written last, so that half a backup has none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from cli.errors import CliError

FILE: Final = "manifest.json"
#: Counts up when an older release could not read it.
FORMAT: Final = 1
_CHUNK: Final = 2**20


class Part(msgspec.Struct, frozen=True):
    """One file of a backup."""

    sha256: str
    bytes: int
    #: keys, tokens or people's texts are in it
    secret: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. ``parts``: by path within the backup."""

    format: int = FORMAT
    #: release that made it
    version: str
    #: UTC, ISO 8601
    made_at: str
    pool: str
    #: the store's schema, and what kind of database it was
    revision: str
    database: str
    #: layout of the ledger's keys
    layout: int
    #: what is in it, for people
    counts: dict[str, int]
    parts: dict[str, Part]
    #: over all of the above
    seal: str = ""

    def sealed(self) -> Manifest:
        """The same with its seal."""
        return msgspec.structs.replace(self, seal=self._digest())

    def _digest(self) -> str:
        bare = msgspec.structs.replace(self, seal="")
        return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()

    def encode(self) -> bytes:
        """As it is written."""
        return msgspec.json.format(msgspec.json.encode(self.sealed(), order="sorted"), indent=1)


def read(text: bytes, where: str) -> Manifest:
    """A backup's manifest.

    Raises:
        CliError: it is none, damaged, or of a newer release.
    """
    try:
        found = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        version = msgspec.json.decode(found.get("format", msgspec.Raw(b"0")), type=int)
        if version > FORMAT:
            raise CliError(
                f"{where} was made by a newer release (format {version}; this one reads {FORMAT}): "
                "install that release, then restore"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise CliError(f"{where}: {FILE} cannot be read ({error}): not a backup, or damaged") from (
            error
        )
    if manifest.sealed().seal != manifest.seal:
        raise CliError(f"{where}: {FILE} was changed or damaged: take another backup")
    return manifest


def digest(file: Path) -> Part:
    """Hash and size of a file."""
    total, size = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            total.update(chunk)
            size += len(chunk)
    return Part(total.hexdigest(), size)


def secrets_in(parts: Mapping[str, Part]) -> Iterable[str]:
    """Parts that must be kept as carefully as the data folder itself."""
    return sorted(name for name, part in parts.items() if part.secret)
