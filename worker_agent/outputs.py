"""The files that one worker makes: put into the user's names before anybody hears of them."""

from __future__ import annotations

import asyncio
import filecmp
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from config.free_space import free_bytes
from worker_agent import embedded
from worker_agent.comfy_client import ComfyClient, FileRefused, WorkerUnreachable
from worker_agent.tenancy import FileKey, user_path, worker_path

_log = structlog.get_logger(__name__)

#: what a worker whose folders we do not see is sent back: a ComfyUI takes 100 MiB by default
_SENT_BACK: Final = 95 * 2**20
_CHUNK: Final = 256 * 1024

FindClient = Callable[[], ComfyClient]


class TooLong(Exception):
    """A file is longer than what its worker would take back."""


class Outputs:
    """The output and temp folders of one worker."""

    def __init__(
        self, worker: str, client: FindClient, folders: Mapping[str, Path], scratch: Path
    ) -> None:
        """Look after a worker's files.

        Args:
            worker: whose.
            client: to reach it.
            folders: by type, where they lie on this host; empty: elsewhere.
            scratch: where copies lie meanwhile.
        """
        self._scratch = scratch
        #: less room than there should be: no job is to start here
        self.full = False
        self._worker = worker
        self._client = client
        self._folders = folders

    async def look(self, min_free_bytes: int) -> None:
        """See whether there is room for what a job makes; said once each time it changes."""
        folder = self._folders.get("output")
        if folder is None:
            return
        free = await asyncio.to_thread(free_bytes, folder)
        full = free is not None and free < min_free_bytes
        if full and not self.full:
            _log.error("disk_full", worker=self._worker, folder=str(folder), free_bytes=free)
        elif self.full and not full:
            _log.info("disk_has_room", worker=self._worker, free_bytes=free)
        self.full = full

    async def take(
        self, keys: Sequence[FileKey], user: str, known: Mapping[str, str]
    ) -> dict[FileKey, FileKey]:
        """Make these files their user's: in the user's names inside, and in the user's folder.

        What a node has put elsewhere, the next user's run may write over: it is copied. A file
        with which that cannot be done is handed out as it is: the picture matters more.

        Args:
            keys: files of that user, worker's names.
            user: whose they are.
            known: a worker's value → what the user had written in its place.

        Returns:
            Where each of them lies now.
        """
        taken = {}
        for key in keys:
            try:
                taken[key] = await self._take(key, user, known)
            except (OSError, WorkerUnreachable, FileRefused, TooLong) as error:
                taken[key] = key
                _log.warning(
                    "output_not_taken",
                    worker=self._worker,
                    type=key[0],
                    file=key[2],
                    detail=repr(error),
                )
        return taken

    async def _take(self, key: FileKey, user: str, known: Mapping[str, str]) -> FileKey:
        type_, subfolder, filename = key
        own = worker_path(user, user_path(user, subfolder))
        if self._folders:
            path = find(self._folders, key)
            if path is None:
                return key
            await asyncio.to_thread(embedded.clean, path, user, known)
            if own == subfolder:
                return key
            folder = self._folders[type_] / own
            return type_, own, await asyncio.to_thread(copy_into, folder, filename, path)
        with tempfile.TemporaryDirectory(dir=self._scratch) as scratch:
            copy = Path(scratch) / "output"
            if not await self._fetch(key, copy):
                return key
            changed = await asyncio.to_thread(embedded.clean, copy, user, known)
            if own != subfolder:
                return await self._client().put((type_, own, filename), copy)
            if changed:
                await self._client().replace(key, copy)
            return key

    async def _fetch(self, key: FileKey, copy: Path) -> bool:
        query = dict(zip(("type", "subfolder", "filename"), key, strict=True))
        size = 0
        async with self._client().view(query, {}) as reply:
            if reply.status != 200:
                return False
            with copy.open("wb") as file:
                async for chunk in reply.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > _SENT_BACK:
                        raise TooLong(f"more than {_SENT_BACK} bytes")
                    await asyncio.to_thread(file.write, chunk)
        return True


def copy_into(folder: Path, filename: str, source: Path) -> str:
    """Copy a file into a folder; its name there: one that is taken by other bytes is counted on.

    Raises:
        OSError: the folder takes no file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".vg-")
    os.close(handle)
    part, (stem, suffix) = Path(name), os.path.splitext(filename)
    try:
        shutil.copyfile(source, part)
        os.chmod(part, source.stat().st_mode & 0o777)
        for count in itertools.count():
            target = folder / (f"{stem} ({count}){suffix}" if count else filename)
            try:
                os.link(part, target)
            except FileExistsError:
                if not filecmp.cmp(part, target, shallow=False):
                    continue
            return target.name
        raise AssertionError("there is always another number")
    finally:
        part.unlink()


def find(folders: Mapping[str, Path], key: FileKey) -> Path | None:
    """The file itself, if it lies inside its folder once links are followed."""
    type_, subfolder, filename = key
    folder = folders.get(type_)
    if folder is None or not filename or "\0" in subfolder + filename:
        return None
    path = (folder / subfolder / filename).resolve()
    return path if path.is_relative_to(folder.resolve()) and path.is_file() else None


def own_file(folders: Mapping[str, Path], key: FileKey) -> Path | None:
    """The file, if no link leads to it: what is deleted must be what was meant."""
    found = find(folders, key)
    if found is None:
        return None
    named = folders[key[0]].resolve() / key[1] / key[2]
    return found if found == named else None
