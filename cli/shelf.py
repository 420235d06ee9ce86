"""A studio's folder: where a copy belongs there, and how it gets in without harm."""

from __future__ import annotations

import filecmp
import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final
from unicodedata import category

from store.outputs import Output

#: signs that Windows and SMB shares take in no name
_FORBIDDEN: Final = re.compile(r'[<>:"|?*\\/]')
#: devices of Windows, with or without a suffix
_DEVICES: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_LONGEST_BYTES: Final = 200


class Unfit(Exception):
    """The folder is not there, or a link in it leads elsewhere: mount it, or remove the link."""


class Shelf:
    """Everything below one folder that must exist already."""

    def __init__(self, root: Path) -> None:
        """``root``: the fixed part of ``files.deliver``."""
        self._root = root

    def folder(self, template: str, output: Output) -> Path:
        """The folder for a file, made where it is missing.

        Raises:
            Unfit: the root is not there (a share that is not mounted), or a link leads out.
            OSError: it cannot be made.
        """
        if not self._root.is_dir():
            raise Unfit(f"{self._root} is no folder; mount it, or change files.deliver")
        made = datetime.fromtimestamp(output.made_ms / 1000)
        words = {
            "group": clean(output.group),
            "user": clean(output.user),
            "date": made.strftime("%Y-%m-%d"),
            "year": made.strftime("%Y"),
            "month": made.strftime("%m"),
            "day": made.strftime("%d"),
        }
        folder = Path(template.format(**words))
        for part in output.record.subfolder.split("/"):
            if part:
                folder /= clean(part)
        self._check(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def part(self, folder: Path) -> Iterator[Path]:
        """A name for a half copy, gone afterwards."""
        handle, name = tempfile.mkstemp(dir=folder, prefix=".vramgate-", suffix=".part")
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def place(self, part: Path, folder: Path, filename: str) -> Path:
        """Give a complete copy its name, or the next free one; the same bytes are left there.

        Raises:
            OSError: the folder takes no file.
        """
        os.chmod(part, 0o664)
        stem, suffix = os.path.splitext(clean(filename))
        for count in itertools.count():
            target = folder / (f"{stem} ({count}){suffix}" if count else f"{stem}{suffix}")
            if _claim(part, target) or _same(part, target):
                return target
        raise AssertionError("there is always another number")

    def _check(self, folder: Path) -> None:
        if not folder.resolve().is_relative_to(self._root.resolve()):
            raise Unfit(f"{folder} leads out of {self._root}; a link does so")


def clean(name: str) -> str:
    """One segment of a path that every system takes."""
    shown = "".join("_" if category(sign) in ("Cc", "Cs", "Cf") else sign for sign in name)
    shown = _FORBIDDEN.sub("_", shown).rstrip(". ").lstrip(" ")
    if shown.startswith(".") or not shown or _DEVICES.fullmatch(shown):
        shown = f"_{shown}"
    stem, suffix = os.path.splitext(shown)
    room = _LONGEST_BYTES - len(suffix.encode())
    if len(stem.encode()) > room > 0:
        stem = stem.encode()[:room].decode("utf-8", "ignore")
    return stem + suffix if len(suffix.encode()) < _LONGEST_BYTES else stem[:50]


def _claim(part: Path, target: Path) -> bool:
    """Name the copy unless the name is taken, at once for everybody who tries."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:
        # a share without hard links: take the name first, then put the file in its place
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        os.replace(part, target)
    return True


def _same(part: Path, target: Path) -> bool:
    """Whether an earlier run that was cut off has delivered it already."""
    return not target.is_symlink() and target.is_file() and filecmp.cmp(part, target, shallow=False)
