"""A broken invariant."""

from __future__ import annotations


class Violation(Exception):
    """Something happened that must never happen; the message says what, and where it is asked."""


def require(holds: bool, what: str) -> None:
    """Go on only if it holds.

    Raises:
        Violation: it does not.
    """
    if not holds:
        raise Violation(what)
