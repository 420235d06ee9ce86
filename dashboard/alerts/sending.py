"""How a message went, and when it is tried again (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Seconds until the next try, by tries so far: 10 s, half a minute, … a quarter of an hour.
_PAUSES_S: Final = (10, 30, 60, 120, 300, 600, 900)
#: It is tried for a day; by then the alert itself is on a page, and told again by its group.
GIVEN_UP_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Sent:
    """It arrived."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """It did not."""

    #: says what to do; no secret is in it
    why: str
    #: False: it will never arrive as it is
    again: bool = True


Outcome = Sent | Unsent


def next_try_ms(tries: int, now_ms: int) -> int:
    """When it is tried again after so many tries."""
    return now_ms + _PAUSES_S[min(max(1, tries), len(_PAUSES_S)) - 1] * 1000
