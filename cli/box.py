"""What a backup is put into and taken from: a folder, or one ``.tar`` file.

It appears under its name only when it is whole: until then its name ends in ``.part``.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol

from cli.errors import CliError
from cli.manifest import FILE, Manifest, Part, read

_CHUNK: Final = 2**20
_PRIVATE: Final = 0o600


class Box(Protocol):
    """Where a backup is written."""

    def add(self, name: str, source: Path, *, secret: bool = False) -> None:
        """Copy a file in. Raises FileNotFoundError: it is gone."""
        ...

    def close(self, manifest: Manifest) -> None:
        """Write the manifest; the backup has its name from now on."""
        ...

    @property
    def parts(self) -> dict[str, Part]:
        """What is in it so far."""
        ...


class FolderBox:
    """A folder with a file for each part."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder = _part(target)
        if self._folder.exists():  # of one that was cut off
            shutil.rmtree(self._folder)
        self._folder.mkdir(parents=True, mode=0o700)
        self.parts: dict[str, Part] = {}

    def add(self, name: str, source: Path, *, secret: bool = False) -> None:
        """See ``Box``."""
        with source.open("rb") as origin:
            place = self._folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with _private(place) as copy:
                hashed = _Hashed(origin)
                shutil.copyfileobj(hashed, copy, _CHUNK)
                _flush(copy)
        self.parts[name] = hashed.part(secret)

    def close(self, manifest: Manifest) -> None:
        """See ``Box``."""
        with _private(self._folder / FILE) as opened:
            opened.write(manifest.encode())
            _flush(opened)
        self._folder.rename(self._target)


class TarBox:
    """One file; not compressed, so that parts are found without reading all of it."""

    def __init__(self, target: Path) -> None:
        self._target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        self._file = _private(_part(target))
        self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        self.parts: dict[str, Part] = {}

    def add(self, name: str, source: Path, *, secret: bool = False) -> None:
        """See ``Box``."""
        with source.open("rb") as origin:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = os.fstat(origin.fileno()).st_size, _PRIVATE
            hashed = _Hashed(origin)
            self._tar.addfile(entry, hashed)
        self.parts[name] = hashed.part(secret)

    def close(self, manifest: Manifest) -> None:
        """See ``Box``."""
        text = manifest.encode()
        entry = tarfile.TarInfo(FILE)
        entry.size, entry.mode = len(text), _PRIVATE
        self._tar.addfile(entry, io.BytesIO(text))
        self._tar.close()
        _flush(self._file)
        self._file.close()
        _part(self._target).rename(self._target)


def new_box(target: Path) -> Box:
    """A box for a new backup; ``NAME.tar`` is a file, everything else a folder.

    Raises:
        CliError: something is there already, or its kind is unknown.
    """
    if target.exists():
        raise CliError(f"{target} exists: name another, or move it away")
    if target.name.endswith((".tar.gz", ".tgz", ".tar.zst", ".zip")):
        raise CliError(f"{target}: write to NAME.tar (and compress that), or to a folder")
    return TarBox(target) if target.suffix == ".tar" else FolderBox(target)


class OpenedBox(Protocol):
    """A backup that is there."""

    manifest: Manifest

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read a part. Raises CliError: it is missing."""
        ...


class _OpenedFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            text = (folder / FILE).read_bytes()
        except OSError as error:
            raise CliError(f"{folder} has no {FILE}: not a backup, or one that was cut off") from (
                error
            )
        self.manifest = read(text, str(folder))

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """See ``OpenedBox``."""
        try:
            with (self._folder / name).open("rb") as opened:
                yield opened
        except FileNotFoundError as error:
            raise CliError(f"{self._folder}: {name} is missing: take another backup") from error


class _OpenedTar:
    def __init__(self, file: Path) -> None:
        self._where = file
        try:
            self._tar = tarfile.open(file, mode="r:")  # noqa: SIM115 - lives as long as we do
            text = self._content(FILE).read()
        except (tarfile.TarError, OSError, KeyError) as error:
            raise CliError(f"{file} is no whole backup ({error})") from error
        self.manifest = read(text, str(file))

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """See ``OpenedBox``."""
        try:
            with self._content(name) as opened:
                yield opened
        except KeyError as error:
            raise CliError(f"{self._where}: {name} is missing: take another backup") from error

    def _content(self, name: str) -> IO[bytes]:
        found = self._tar.extractfile(name)
        if found is None:
            raise KeyError(name)
        return found


def open_box(source: Path) -> OpenedBox:
    """A backup by its name, its manifest read.

    Raises:
        CliError: it is none, cut off, or of a newer release.
    """
    if not source.exists():
        raise CliError(f"{source}: there is no such file or folder")
    opened = _OpenedFolder(source) if source.is_dir() else _OpenedTar(source)
    for name in opened.manifest.parts:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise CliError(f"{source} names {name}, which leads out of it: not a backup of ours")
    return opened


def take_out(box: OpenedBox, name: str, target: Path | None) -> None:
    """Copy a part to a file, or only read it, and check that it is what it was.

    Raises:
        CliError: it was changed or damaged.
    """
    wanted = box.manifest.parts[name]
    with box.open(name) as opened:
        hashed = _Hashed(opened)
        if target is None:
            while hashed.read(_CHUNK):
                pass
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _private(target) as copy:
                shutil.copyfileobj(hashed, copy, _CHUNK)
                _flush(copy)
    found = hashed.part(wanted.secret)
    if found != wanted:
        raise CliError(f"{name} was changed or damaged: take another backup")


class _Hashed(io.RawIOBase):
    """Reads through, and knows afterwards what it has read."""

    def __init__(self, origin: IO[bytes]) -> None:
        self._origin = origin
        self._total = hashlib.sha256()
        self._bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Some bytes."""
        chunk = self._origin.read(size)
        self._total.update(chunk)
        self._bytes += len(chunk)
        return chunk

    def part(self, secret: bool) -> Part:
        """What was read."""
        return Part(self._total.hexdigest(), self._bytes, secret)


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)


def _private(path: Path) -> IO[bytes]:
    return open(path, "wb", opener=_opener)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
