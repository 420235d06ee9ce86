"""Ends of prompts that their client may have missed: its socket was away for a moment.

ComfyUI drops a frame for a client that is not connected; who reconnects then waits for
ever, or has to ask ``/history``. Here the end follows if its client comes back within
half a minute. A client that heard its prompt's end must not hear it again, lest a script
that does not compare ids takes it for the end of the next one. So scripts are told only
what this gateway knows that nobody heard; frontends, which compare ids, all of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scheduler.ledger import Event

#: seconds that an end waits for its client. Frontends try again every 0.3 s; a gateway
#: that died is back, or another has its clients, after some seconds.
KEPT_S: Final = 30.0
#: all that wait, together: what a burst of short prompts of clients without socket makes
_MOST: Final = 4096
_MOST_BYTES: Final = 4 * 2**20


@dataclass(frozen=True, slots=True)
class MissedEnd:
    """One end, and whether it is certain that its client did not hear it."""

    event: Event
    certain: bool
    until: float


class MissedEnds:
    """The ends that wait in this gateway.

    Args:
        clock: any seconds that grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: by job, oldest first
        self._ends: OrderedDict[str, MissedEnd] = OrderedDict()
        self._bytes = 0

    def keep(self, event: Event, *, certain: bool, ago_s: float = 0.0) -> None:
        """Keep a settled event that was not shown to its client.

        Args:
            event: its ``client_id`` says who waits; without one nobody does.
            certain: no gateway has shown it.
            ago_s: how long ago it ended.
        """
        if event.client_id is None:
            return
        self._drop(event.job)
        self._ends[event.job] = MissedEnd(event, certain, self._clock() + KEPT_S - ago_s)
        self._bytes += len(event.frames)
        while len(self._ends) > _MOST or self._bytes > _MOST_BYTES or self._is_stale():
            self._drop(next(iter(self._ends)))

    def concern(self, user: str) -> bool:
        """Whether an end waits for one of the user's clients."""
        return any(end.event.user == user for end in self._ends.values())

    def take(self, user: str, client_id: str, *, only_certain: bool) -> list[Event]:
        """The ends that this client is owed, oldest first; nobody gets them again."""
        now = self._clock()
        owed = [
            end
            for end in self._ends.values()
            if (end.event.user, end.event.client_id) == (user, client_id)
            and end.until >= now
            and (end.certain or not only_certain)
        ]
        for end in owed:
            self._drop(end.event.job)
        return [end.event for end in owed]

    def _is_stale(self) -> bool:
        return bool(self._ends) and next(iter(self._ends.values())).until < self._clock()

    def _drop(self, job: str) -> None:
        end = self._ends.pop(job, None)
        if end is not None:
            self._bytes -= len(end.event.frames)
