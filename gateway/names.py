"""Names of files as clients send them: cleaned, or refused. Pure."""

from __future__ import annotations

import posixpath
import unicodedata
from dataclasses import dataclass
from typing import Final

from gateway.media_types import media_type

FILE_TYPES: Final = ("input", "output", "temp")
_MAX_NAME_BYTES: Final = 255  # what file systems of workers take
_MAX_PATH_BYTES: Final = 1024


class BadName(ValueError):
    """The name is empty, absolute, or holds what no file name may hold."""


class Escape(ValueError):
    """The path leaves the folder that it was given in."""


@dataclass(frozen=True, slots=True)
class FileName:
    """One file in a user's space."""

    type: str
    subfolder: str
    filename: str

    @property
    def path(self) -> str:
        """``sub/pic.png``, the name in ``InputFiles``."""
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename


def _normal(text: str) -> str:
    name = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        raise BadName("the name holds control characters")
    return name


def clean_filename(name: str) -> str:
    """A bare file name: folders in front are dropped, as ComfyUI does.

    Raises:
        BadName: empty, ``..``, a leading ``/`` or control characters.
    """
    text = _normal(name)
    if not text or text.startswith("/") or ".." in text:
        raise BadName(f"{name!r} is no file name")
    base = posixpath.basename(text.replace("\\", "/"))
    if base in ("", ".") or len(base.encode()) > _MAX_NAME_BYTES:
        raise BadName(f"{name!r} is no file name")
    return base


def clean_upload(name: str) -> str:
    """A bare file name to keep a file under; two dots may follow one another in it.

    Raises:
        BadName: empty, only dots and spaces, absolute, climbing, or control characters.
    """
    parts = _normal(name).replace("\\", "/").split("/")
    base = parts[-1]
    # a worker on Windows drops dots and spaces at the end: nothing would be left
    if not base.strip(". ") or len(base.encode()) > _MAX_NAME_BYTES:
        raise BadName(f"{name!r} is no file name")
    if parts[0] == "" or ".." in parts:
        raise BadName(f"{name!r} leaves the folder")
    return base


def clean_folder(folder: str) -> str:
    """A relative folder, "" for the root.

    Raises:
        Escape: it is absolute or climbs out.
        BadName: it holds control characters or is too long.
    """
    text = _normal(folder).replace("\\", "/")
    if text.startswith("/"):
        raise Escape(f"{folder!r} is an absolute path")
    path = posixpath.normpath(text) if text else ""
    if path == ".." or path.startswith("../"):
        raise Escape(f"{folder!r} leaves the folder")
    if len(path.encode()) > _MAX_PATH_BYTES:
        raise BadName("the path is too long")
    return "" if path == "." else path


def clean_path(path: str) -> str:
    """A relative path to a file.

    Raises:
        Escape: it is absolute or climbs out.
        BadName: it names no file.
    """
    cleaned = clean_folder(path)
    if not cleaned or path.endswith("/"):
        raise BadName(f"{path!r} names no file")
    if any(len(part.encode()) > _MAX_NAME_BYTES for part in cleaned.split("/")):
        raise BadName("a part of the path is too long")
    return cleaned


def is_picture(name: str) -> bool:
    """Whether a file of this name should be a picture."""
    return (media_type(name) or "").startswith("image/")


def split_annotation(name: str) -> tuple[str, str | None]:
    """``pic.png [input]`` → (``pic.png``, ``input``); None where there is no such suffix."""
    for kind in FILE_TYPES:
        suffix = f"[{kind}]"
        if name.endswith(suffix):
            return name.removesuffix(suffix).removesuffix(" "), kind
    return name, None


def counted(filename: str, count: int) -> str:
    """``pic.png``, 2 → ``pic (2).png``: how ComfyUI names an upload whose name is taken."""
    stem, suffix = posixpath.splitext(filename)
    return f"{stem} ({count}){suffix}"
