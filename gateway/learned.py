"""What was learned of each kind of workflow, read again only where it has changed.

Each job that ends changes the profiles of its kind and of that kind's parents. So the newest
record of a kind is kept, and never the ones before it: nobody asks for those again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from gateway.shelf import Shelf
from scheduler.profile import Profile, from_json

#: of all kinds together: some three hundred
_KEPT_BYTES: Final = 2 * 2**20
#: bytes in memory of a record and what was read of it, for each byte of the record (measured:
#: 6.3 for a profile of 100 runs, 1,047 bytes long)
_BYTES_EACH: Final = 7
log = structlog.get_logger()


class ProfileSide(Protocol):
    """The part of ``scheduler.ledger.Ledger`` that keeps profiles."""

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        """Records by fingerprint, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    record: bytes
    profile: Profile | None


class Learned:
    """Profiles as this gateway has read them last.

    Args:
        ledger: keeps the records.
    """

    def __init__(self, ledger: ProfileSide) -> None:
        self._ledger = ledger
        self._kept: Shelf[_Read] = Shelf(_KEPT_BYTES)

    async def of(self, fingerprints: Sequence[str]) -> list[Profile | None]:
        """The profiles of these kinds; None: nothing is known, or nothing that can be read.

        Raises:
            LedgerUnavailable: what was learned cannot be read.
        """
        records = await self._ledger.profiles(fingerprints)
        return [
            None if record is None else self._profile(kind, record)
            for kind, record in zip(fingerprints, records, strict=True)
        ]

    def _profile(self, kind: str, record: bytes) -> Profile | None:
        known = self._kept.get(kind)
        if known is not None and known.record == record:
            return known.profile
        try:
            profile = from_json(record)
        except ValueError as error:
            log.warning("profile_unreadable", error=str(error))
            return None
        self._kept.put(kind, _Read(record, profile), len(record) * _BYTES_EACH)
        return profile
