"""The stream of events, replayed as it grows: states by allowed steps, one step per ``rev``."""

from __future__ import annotations

from collections import Counter
from typing import Final

from scheduler.ledger import Event, EventKind
from scheduler.memory_books import Books
from scheduler.states import TERMINAL, TRANSITIONS, JobState
from simulator.chaos.violation import require

#: transitions that leave the state as it is
_SAME_STATE: Final = frozenset(
    {EventKind.HELD, EventKind.UNHELD, EventKind.MOVED, EventKind.PREEMPTING}
)


class Replay:
    """What the stream alone says of every job [I6, I8, I18]."""

    def __init__(self) -> None:
        self.states: dict[str, JobState] = {}
        self.steps: dict[str, int] = {}
        self.claimed: set[tuple[str, int]] = set()
        self.cursor = "0-0"
        self.counts: Counter[str] = Counter()

    def copy(self) -> Replay:
        """As it is now, to go back to when the server forgets; counts go on."""
        made = Replay()
        made.states, made.steps = dict(self.states), dict(self.steps)
        made.claimed, made.cursor = set(self.claimed), self.cursor
        made.counts = self.counts
        return made

    def follow(self, books: Books) -> list[Event]:
        """Take what is new.

        Raises:
            Violation: an event that the state machine does not allow.
        """
        fresh: list[Event] = []
        while self.cursor != books.stream.last_id:
            events = books.stream.after(self.cursor)
            self.cursor = events[-1].id
            fresh += events
        for event in fresh:
            if event.job and event.state is not None:
                self._take(event)
        return fresh

    def _take(self, event: Event) -> None:
        before, now = self.states.get(event.job), event.state
        if now is None:
            return
        if event.kind in _SAME_STATE:
            require(now is before, f"{event.job}: {event.kind} took it from {before} to {now}")
        else:
            allowed = {JobState.QUEUED} if before is None else TRANSITIONS[before]
            require(now in allowed, f"{event.job}: {before} → {now} is no step [I6]")
        if event.kind is EventKind.CLAIMED:
            claim = (event.job, event.attempt)
            require(claim not in self.claimed, f"{event.job}: claimed twice [I8]")
            self.claimed.add(claim)
        self.states[event.job] = now
        self.steps[event.job] = self.steps.get(event.job, 0) + 1
        name = f"{now.value.lower()} {event.reason}".strip() if now in TERMINAL else ""
        self.counts[name or event.kind.value] += 1

    def check(self, books: Books) -> None:
        """Compare it with the books.

        Raises:
            Violation: a job is not where its events put it.
        """
        for job_id, record in books.records.items():
            job = record.job
            told = self.states.get(job_id), self.steps.get(job_id)
            found = job.state, job.rev
            require(told == found, f"{job_id}: the stream says {told}, its record {found} [I18]")
