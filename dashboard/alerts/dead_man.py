"""Whether anybody still looks at the rules: silence is no good news (pure)."""

from __future__ import annotations

from typing import Final

#: Looks that may be missed, and a time that may pass in any case: a role that is started anew.
_LOOKS: Final = 6
_LEAST_MS: Final = 150_000


def longest_ms(every_s: float) -> int:
    """Time between two looks that nobody need worry about."""
    return max(_LEAST_MS, int(every_s * 1000) * _LOOKS)


def is_unwatched(looked_ms: int | None, now_ms: int, every_s: float) -> bool:
    """Whether the last look is too long ago; None: there never was one."""
    return looked_ms is None or now_ms - looked_ms > longest_ms(every_s)
