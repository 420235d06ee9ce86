"""What was learned of each kind of workflow, read again only where it has changed.

Each job that ends changes the profiles of its kind and of that kind's parents. So the newest
record of a kind is kept, and never the ones before it: nobody asks for those again. A prompt does
not wait for the ledger to say what it said a moment ago of a kind that has run often: one run more
or less moves no estimate, and whoever runs out of memory is tried again with more in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
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
#: seconds that what the ledger has said of a kind with this many runs is believed
_FRESH_S: Final = 0.5
_MANY_RUNS: Final = 10
log = structlog.get_logger()


class ProfileSide(Protocol):
    """The part of ``scheduler.ledger.Ledger`` that keeps profiles."""

    async def profiles(self, fingerprints: Sequence[str]) -> list[bytes | None]:
        """Records by fingerprint, None where there is none."""
        ...


@dataclass(slots=True)
class _Read:
    #: None: the ledger had none
    record: bytes | None
    profile: Profile | None
    #: the clock's seconds
    at: float


class Learned:
    """Profiles as this gateway has read them last.

    Args:
        ledger: keeps the records.
        clock: seconds.
    """

    def __init__(self, ledger: ProfileSide, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._kept: Shelf[_Read] = Shelf(_KEPT_BYTES)

    async def of(self, fingerprints: Sequence[str]) -> list[Profile | None]:
        """The profiles of a kind and its parents; None: nothing is known, or can be read.

        Raises:
            LedgerUnavailable: what was learned cannot be read.
        """
        known = self._known(fingerprints)
        if known is not None:
            return known
        records = await self._ledger.profiles(fingerprints)
        return [
            self._profile(kind, record) for kind, record in zip(fingerprints, records, strict=True)
        ]

    def _known(self, fingerprints: Sequence[str]) -> list[Profile | None] | None:
        """What was read a moment ago of the first kind, if it has run often, and of the others."""
        kept = [self._kept.get(kind) for kind in fingerprints]
        old = self._clock() - _FRESH_S
        known = [one.profile for one in kept if one is not None and one.at > old]
        if len(known) < len(fingerprints) or not known or known[0] is None:
            return None
        return known if known[0].count >= _MANY_RUNS else None

    def _profile(self, kind: str, record: bytes | None) -> Profile | None:
        known = self._kept.get(kind)
        if known is not None and known.record == record:
            known.at = self._clock()
            return known.profile
        profile = None if record is None else _read(record)
        size_bytes = _BYTES_EACH * len(record or b"")
        self._kept.put(kind, _Read(record, profile, self._clock()), size_bytes)
        return profile


def _read(record: bytes) -> Profile | None:
    try:
        return from_json(record)
    except ValueError as error:
        log.warning("profile_unreadable", error=str(error))
        return None
