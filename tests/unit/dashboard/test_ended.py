"""Counting ended jobs over a window."""

from __future__ import annotations

from dashboard.ended import EndedWindow
from dashboard.sample import EndedCounts
from scheduler.ledger import Event, EventKind
from scheduler.states import JobState

_MINUTE = 60_000


def _event(minute: float, user: str, state: JobState, kind: EventKind = EventKind.SETTLED) -> Event:
    return Event(id="1-1", kind=kind, at_ms=int(minute * _MINUTE), user=user, state=state)


def test_ends_are_counted_by_user_and_kind_until_they_leave_the_window() -> None:
    window = EndedWindow(15)
    window.add([_event(100, "ann", JobState.SUCCEEDED), _event(110, "ann", JobState.FAILED)])
    window.add([_event(110.5, "ann", JobState.FAILED), _event(110, "bob", JobState.CANCELLED)])
    assert window.by_user(111 * _MINUTE) == {
        "ann": EndedCounts(succeeded=1, failed=2),
        "bob": EndedCounts(cancelled=1),
    }
    assert window.by_user(115 * _MINUTE) == {
        "ann": EndedCounts(failed=2),
        "bob": EndedCounts(cancelled=1),
    }
    assert window.by_user(200 * _MINUTE) == {}


def test_only_ends_count() -> None:
    window = EndedWindow(15)
    window.add([_event(1, "ann", JobState.QUEUED, EventKind.REQUEUED)])
    assert window.by_user(_MINUTE) == {}
