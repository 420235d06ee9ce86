"""The files that a job's result names (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from dashboard.api.job_shapes import Output

Kind = Literal["image", "video", "audio", "other"]
_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("png", "jpg", "jpeg", "webp", "gif", "avif", "bmp"), "image"),
    **dict.fromkeys(("mp4", "webm", "mov", "mkv"), "video"),
    **dict.fromkeys(("flac", "mp3", "wav", "opus", "ogg"), "audio"),
}
#: Files of one job that are listed.
MOST_OUTPUTS: Final = 500


def outputs(result: bytes | None) -> list[Output]:
    """Files by node, in the result's order; of a result that is none: nothing."""
    try:
        found = msgspec.json.decode(result or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return []
    by_node = found.get("outputs") if isinstance(found, dict) else None
    if not isinstance(by_node, dict):
        return []
    listed = [one for node, told in by_node.items() for one in _files(str(node), told)]
    return listed[:MOST_OUTPUTS]


def _files(node: str, told: Any) -> Iterator[Output]:
    lists = told.values() if isinstance(told, dict) else ()
    for files in lists:
        for file in files if isinstance(files, list) else ():
            filename = file.get("filename") if isinstance(file, dict) else None
            if isinstance(filename, str) and filename:
                yield {
                    "node": node,
                    "kind": _kind(filename),
                    "filename": filename,
                    "subfolder": _text(file.get("subfolder"), ""),
                    "type": _text(file.get("type"), "output"),
                }


def _kind(filename: str) -> Kind:
    return _KINDS.get(filename.rpartition(".")[2].lower(), "other")


def _text(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise
