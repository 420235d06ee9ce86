"""The gateway's ports in memory: for tests and for trying things out without a database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.ports import Document, PastHead, PastJob
from scheduler.ledger import FileRecord
from scheduler.states import InputFile


class MemoryInputFiles:
    """``gateway.ports.InputFiles`` in a dictionary."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], dict[str, InputFile]] = {}

    async def find(self, user: str, type: str, path: str) -> InputFile | None:
        """The upload of that name, or None."""
        return self._files.get((user, type), {}).get(path)

    async def find_all(
        self, user: str, names: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], InputFile]:
        """The uploads of these types and paths."""
        found = {name: await self.find(user, *name) for name in names}
        return {name: file for name, file in found.items() if file is not None}

    async def list(self, user: str, type: str) -> list[InputFile]:
        """All uploads of that type, newest first."""
        return list(self._files.get((user, type), {}).values())[::-1]

    async def put(self, user: str, type: str, file: InputFile) -> None:
        """Name these bytes."""
        mine = self._files.setdefault((user, type), {})
        mine.pop(file.path, None)
        mine[file.path] = file

    async def claim(self, user: str, type: str, file: InputFile) -> bool:
        """Name these bytes unless the name is taken."""
        if file.path in self._files.get((user, type), {}):
            return False
        await self.put(user, type, file)
        return True

    async def used_bytes(self, user: str) -> int:
        """Bytes of all the user's uploads."""
        mine = (own for (name, _), own in self._files.items() if name == user)
        return sum(file.size_bytes for own in mine for file in own.values())

    async def delete(self, user: str, type: str, path: str) -> bool:
        """Forget a name."""
        return self._files.get((user, type), {}).pop(path, None) is not None

    async def owns(self, sha256: str) -> bool:
        """Whether any user still names these bytes."""
        return any(file.sha256 == sha256 for own in self._files.values() for file in own.values())


class MemoryDocuments:
    """``gateway.ports.Documents`` in a dictionary; paths are whole, from the user's root."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._settings: dict[str, dict[str, Any]] = {}
        self._documents: dict[str, dict[str, tuple[Document, bytes]]] = {}

    async def settings(self, user: str) -> dict[str, Any]:
        """All settings."""
        return dict(self._settings.get(user, {}))

    async def change_settings(self, user: str, changes: Mapping[str, Any]) -> None:
        """Set some; others stay."""
        self._settings.setdefault(user, {}).update(changes)

    async def list(self, user: str, folder: str, *, recurse: bool) -> list[Document] | None:
        """Documents below a folder, or None where there is no such folder."""
        start = f"{folder}/" if folder else ""
        below = [
            document
            for path, (document, _) in sorted(self._documents.get(user, {}).items())
            if path.startswith(start)
        ]
        if folder and not below:
            return None
        return [one for one in below if recurse or "/" not in one.path.removeprefix(start)]

    async def read(self, user: str, path: str) -> bytes | None:
        """Content, or None."""
        found = self._documents.get(user, {}).get(path)
        return None if found is None else found[1]

    async def write(self, user: str, path: str, body: bytes, *, overwrite: bool) -> Document | None:
        """Store; None: it exists and may not be overwritten."""
        mine = self._documents.setdefault(user, {})
        old = mine.get(path)
        if old is not None and not overwrite:
            return None
        now = self._clock()
        created = now if old is None else old[0].created
        document = Document(path=path, size_bytes=len(body), modified=now, created=created)
        mine[path] = (document, body)
        return document

    async def delete(self, user: str, path: str) -> bool:
        """False: there was none."""
        return self._documents.get(user, {}).pop(path, None) is not None

    async def move(
        self, user: str, source: str, target: str, *, overwrite: bool
    ) -> Document | LookupError | None:
        """Rename."""
        mine = self._documents.setdefault(user, {})
        if source not in mine:
            return LookupError(source)
        if target in mine and not overwrite:
            return None
        old, body = mine.pop(source)
        document = Document(
            path=target, size_bytes=len(body), modified=old.modified, created=old.created
        )
        mine[target] = (document, body)
        return document


class MemoryArchive:
    """``gateway.ports.Archive`` over lists that a test fills."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[PastJob]] = {}
        self.files: dict[tuple[str, str, str, str], FileRecord] = {}

    async def ended(
        self,
        user: str,
        *,
        newest: int | None,
        before_ms: int,
        skip: int = 0,
        but: Sequence[str] = (),
    ) -> list[PastJob]:
        """The user's jobs that ended before ``before_ms``, oldest first."""
        found = self._older(user, before_ms, but)
        found.sort(key=lambda job: job.ended_ms)
        end = max(len(found) - skip, 0)
        return found[:end] if newest is None else found[max(0, end - newest) : end]

    async def ends(
        self, user: str, *, newest: int, before_ms: int, but: Sequence[str] = ()
    ) -> list[tuple[str, int]]:
        """Id and time of end of what ``ended`` would give, newest first."""
        found = await self.ended(user, newest=newest, before_ms=before_ms, but=but)
        return [(job.id, job.ended_ms) for job in reversed(found)]

    async def count(
        self,
        user: str,
        *,
        before_ms: int,
        but: Sequence[str] = (),
        states: Sequence[str] | None = None,
    ) -> int:
        """How many there are."""
        found = self._older(user, before_ms, but)
        return sum(states is None or job.state in states for job in found)

    async def heads(
        self,
        user: str,
        *,
        before_ms: int,
        but: Sequence[str],
        states: Sequence[str],
        by_duration: bool,
        descending: bool,
        most: int | None,
    ) -> list[PastHead]:
        """The first ``most`` by creation or duration, then number, then id."""
        found = [
            PastHead(
                id=job.id,
                number=job.number,
                state=job.state,
                created_ms=job.submitted_ms,
                duration_ms=job.ended_ms - (job.started_ms or job.submitted_ms),
            )
            for job in self._older(user, before_ms, but)
            if job.state in states
        ]
        found.sort(
            key=lambda one: (
                one.duration_ms if by_duration else one.created_ms,
                one.number,
                one.id,
            ),
            reverse=descending,
        )
        return found[:most]

    async def read(self, user: str, job_ids: Sequence[str]) -> list[PastJob]:
        """These of the user's jobs."""
        return [job for job in self.jobs.get(user, []) if job.id in job_ids]

    def _older(self, user: str, before_ms: int, but: Sequence[str]) -> list[PastJob]:
        mine = self.jobs.get(user, [])
        return [job for job in mine if job.ended_ms < before_ms and job.id not in but]

    async def find(self, user: str, prompt_id: str) -> PastJob | None:
        """One ended job by the id its client knows."""
        return next((job for job in self.jobs.get(user, []) if job.prompt_id == prompt_id), None)

    async def hide(self, user: str, prompt_ids: Sequence[str] | None) -> None:
        """Drop jobs (None: all) from the user's history."""
        self.jobs[user] = [
            job
            for job in self.jobs.get(user, [])
            if prompt_ids is not None and job.prompt_id not in prompt_ids
        ]

    async def file(self, user: str, type: str, subfolder: str, filename: str) -> FileRecord | None:
        """Where one of the user's outputs lies, or None."""
        return self.files.get((user, type, subfolder, filename))
