"""Wrong keys, counted per address: enough for typing errors, hopeless for guessing.

Two counts, so that guessing stops and nobody is shut out by a neighbour (many people may
share one address): how many *different* wrong keys an address shows, which is guessing and
makes every key that it has not shown before wait; and how often it repeats the *same* one,
which is a client that nobody told of the new key, and makes only that key wait.
"""

from __future__ import annotations

import math
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import structlog
from aiohttp import web

#: wrong keys a minute per address, and times the same one may be shown
FAILURES: Final = 10
WINDOW_S: Final = 60.0
#: least recently seen ones are forgotten beyond these: a few MiB in all
_ADDRESSES: Final = 4096
_TRUSTED: Final = 10_000
log = structlog.get_logger()


@dataclass(slots=True)
class _Failures:
    """Wrong keys of one address since then: digest → times."""

    since: float
    times: dict[bytes, int] = field(default_factory=dict)


class Attempts:
    """Who has to wait before a key is looked at again; bounded in memory.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        #: (address, key's digest) that went together before
        self._trusted: OrderedDict[tuple[str, str], None] = OrderedDict()
        # digests of wrong keys are of no use to anybody else
        self._pepper = secrets.token_bytes(32)

    def passed(self, address: str, stamp: str) -> int:
        """A right key was shown, ``stamp`` being its digest.

        Returns:
            0: let it in; else seconds to wait. A key that this address has shown before
            never waits.
        """
        pair = (address, stamp)
        if pair not in self._trusted:
            failures = self._of(address)
            if failures is not None and len(failures.times) >= FAILURES:
                return self._rest(failures)
            self._trusted[pair] = None
            if len(self._trusted) > _TRUSTED:
                self._trusted.popitem(last=False)
        self._trusted.move_to_end(pair)
        return 0

    def failed(self, address: str, key: str) -> int:
        """A wrong key was shown.

        Returns:
            0: say that it is wrong; else seconds to wait.
        """
        failures = self._of(address) or _Failures(self._clock())
        self._failures[address] = failures
        self._failures.move_to_end(address)
        if len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)
        shown = key.encode("utf-8", "surrogateescape")
        digest = blake2b(shown, digest_size=8, key=self._pepper).digest()
        times = failures.times.get(digest, 0)
        if times >= FAILURES or (times == 0 and len(failures.times) >= FAILURES):
            return self._rest(failures)
        failures.times[digest] = times + 1
        if FAILURES in (times + 1, len(failures.times)):
            log.warning("too_many_wrong_keys", address=address, different=len(failures.times))
        return 0

    def _of(self, address: str) -> _Failures | None:
        """What counts still."""
        found = self._failures.get(address)
        return found if found is not None and self._rest(found) > 0 else None

    def _rest(self, failures: _Failures) -> int:
        return max(0, math.ceil(failures.since + WINDOW_S - self._clock()))


ATTEMPTS: Final[web.AppKey[Attempts]] = web.AppKey("attempts", Attempts)
