"""Bytes in the content store that nobody needs any more, and when they were found so."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

#: bytes stay for so long after they were first found unneeded: a client may be about to name them
GRACE_S: Final = 86400.0
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Leftovers:
    """The content store below ``files_dir``; see ``gateway.blobs``."""

    def __init__(self, files_dir: Path, now: float) -> None:
        """``now``: seconds since the epoch."""
        self._root = files_dir / "blobs"
        self._noted = files_dir / "unneeded.json"
        self._now = now

    def digests(self) -> set[str]:
        """What is stored."""
        return {path.name for path in self._root.glob("??/*") if _DIGEST.fullmatch(path.name)}

    def collect(self, unneeded: Collection[str]) -> int:
        """Delete what has been unneeded since ``GRACE_S`` ago; counts it.

        Args:
            unneeded: digests that nobody needs now.
        """
        for forgotten in self._root.glob("??/*.old"):  # of a run that was killed
            forgotten.unlink(missing_ok=True)
        known = self._read()
        since = {digest: known.get(digest, self._now) for digest in unneeded}
        old = [digest for digest, first in since.items() if first <= self._now - GRACE_S]
        gone = [digest for digest in old if self._delete(digest)]
        kept = {digest: first for digest, first in since.items() if digest not in gone}
        self._write(kept)
        return len(gone)

    def _delete(self, digest: str) -> bool:
        """Moved away first: the same bytes may just have been stored anew."""
        place = self._root / digest[:2] / digest
        away = place.with_name(f"{digest}.old")
        try:
            os.replace(place, away)
        except FileNotFoundError:
            return True
        if away.stat().st_mtime > self._now - GRACE_S:
            os.replace(away, place)
            return False
        away.unlink()
        return True

    def _read(self) -> dict[str, float]:
        try:
            noted = json.loads(self._noted.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def _write(self, since: dict[str, float]) -> None:
        if not self._root.is_dir():
            return
        fresh = self._noted.with_suffix(".new")
        fresh.write_text(json.dumps(since))
        os.replace(fresh, self._noted)
