"""What the gateway needs from others, as Protocols; ``cli`` hands in the real ones.

The ledger's seam is ``scheduler.ledger``. These are the rest: the SQL store's
three kinds of record. Every call is scoped to one user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scheduler.ledger import FileRecord
from scheduler.states import InputFile
from store.records import Document as Document
from store.records import PastHead as PastHead
from store.records import PastJob as PastJob


class Archive(Protocol):
    """Ended jobs beyond Redis's window."""

    async def ended(
        self,
        user: str,
        *,
        newest: int | None,
        before_ms: int,
        skip: int = 0,
        but: Sequence[str] = (),
    ) -> list[PastJob]:
        """The user's jobs that ended before ``before_ms``, oldest first.

        At most ``newest`` of them, past the ``skip`` newest; ``but`` are left out.
        """
        ...

    async def ends(
        self, user: str, *, newest: int, before_ms: int, but: Sequence[str] = ()
    ) -> list[tuple[str, int]]:
        """Id and time of end (ms) of what ``ended`` would give, newest first; bodies unread."""
        ...

    async def count(
        self,
        user: str,
        *,
        before_ms: int,
        but: Sequence[str] = (),
        states: Sequence[str] | None = None,
    ) -> int:
        """How many ``ended`` would give without a limit; ``states``: only those."""
        ...

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
        """The first ``most`` by creation or duration, then number, then id; bodies unread."""
        ...

    async def read(self, user: str, job_ids: Sequence[str]) -> list[PastJob]:
        """These of the user's jobs, as far as they are shown, in no order."""
        ...

    async def find(self, user: str, prompt_id: str) -> PastJob | None:
        """One ended job by the id its client knows."""
        ...

    async def hide(self, user: str, prompt_ids: Sequence[str] | None) -> None:
        """Drop jobs (None: all) from the user's history; accounting keeps them."""
        ...

    async def file(self, user: str, type: str, subfolder: str, filename: str) -> FileRecord | None:
        """Where one of the user's outputs lies, or None."""
        ...


class Documents(Protocol):
    """Settings and userdata of each user."""

    async def settings(self, user: str) -> dict[str, Any]:
        """All settings."""
        ...

    async def change_settings(self, user: str, changes: Mapping[str, Any]) -> None:
        """Set some; others stay. Concurrent calls lose nothing."""
        ...

    async def list(self, user: str, folder: str, *, recurse: bool) -> list[Document] | None:
        """Documents below a folder ("" is the root), or None where there is no such folder."""
        ...

    async def read(self, user: str, path: str) -> bytes | None:
        """Content, or None."""
        ...

    async def write(self, user: str, path: str, body: bytes, *, overwrite: bool) -> Document | None:
        """Store; None: it exists and may not be overwritten."""
        ...

    async def delete(self, user: str, path: str) -> bool:
        """False: there was none."""
        ...

    async def move(
        self, user: str, source: str, target: str, *, overwrite: bool
    ) -> Document | LookupError | None:
        """Rename. None: the target exists; LookupError (returned): there is no source."""
        ...


class InputFiles(Protocol):
    """Which uploads a user has, by name; the bytes lie in ``gateway.blobs``."""

    async def find(self, user: str, type: str, path: str) -> InputFile | None:
        """The upload of that name (``sub/pic.png``), or None."""
        ...

    async def find_all(
        self, user: str, names: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], InputFile]:
        """The user's uploads among these ``(type, path)``, as they are now."""
        ...

    async def list(self, user: str, type: str) -> list[InputFile]:
        """All uploads of that type (``input``, ``temp`` or ``output``), newest first."""
        ...

    async def put(self, user: str, type: str, file: InputFile) -> None:
        """Name these bytes; an existing name now means them."""
        ...

    async def claim(self, user: str, type: str, file: InputFile) -> bool:
        """Name these bytes unless the name is taken, at once for all gateways; True: it is theirs."""
        ...

    async def used_bytes(self, user: str) -> int:
        """Bytes of all the user's uploads, whatever others share of them."""
        ...

    async def delete(self, user: str, type: str, path: str) -> bool:
        """Forget a name; its bytes go once nobody needs them. False: there was none."""
        ...

    async def owns(self, sha256: str) -> bool:
        """Whether any user still names these bytes."""
        ...
