"""Counts jobs that ended within the last minutes, from the transition stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from dashboard.sample import EndedCounts
from scheduler.ledger import Event, EventKind
from scheduler.states import JobState

_MINUTE_MS: Final = 60_000


class EndedWindow:
    """Counts by minute, user and state; minutes that have passed out of the window are dropped."""

    def __init__(self, minutes: int) -> None:
        self._minutes = minutes
        self._counts: dict[int, Counter[tuple[str, JobState]]] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Count those events that ended a job."""
        for event in events:
            if event.kind is EventKind.SETTLED and event.state is not None:
                minute = self._counts.setdefault(event.at_ms // _MINUTE_MS, Counter())
                minute[event.user, event.state] += 1

    def by_user(self, now_ms: int) -> dict[str, EndedCounts]:
        """The window that ends now."""
        oldest = now_ms // _MINUTE_MS - self._minutes
        self._counts = {minute: n for minute, n in self._counts.items() if minute > oldest}
        total: Counter[tuple[str, JobState]] = sum(self._counts.values(), Counter())
        return {
            user: EndedCounts(
                succeeded=total[user, JobState.SUCCEEDED],
                failed=total[user, JobState.FAILED],
                cancelled=total[user, JobState.CANCELLED],
            )
            for user in sorted({user for user, _ in total})
        }
