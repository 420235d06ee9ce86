"""Under which ids prompts reach one worker: never one that it has seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from scheduler.ledger import Order

#: jobs remembered as sent
_KEPT: Final = 256


class Posted:
    """What one worker was sent."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        """Nothing yet. ``new_id``: a fresh lowercase uuid4."""
        self._new_id = new_id
        #: oldest first
        self._jobs: dict[str, None] = {}

    def note(self, job: str) -> None:
        """It was sent this job."""
        self._jobs[job] = None
        if len(self._jobs) > _KEPT:
            del self._jobs[next(iter(self._jobs))]

    def uuid(self, order: Order) -> str:
        """The id for an attempt that is about to be sent.

        A server that lost the admission counts the next attempt as the first again.
        """
        first = order.attempt == 1 and order.job not in self._jobs
        self.note(order.job)
        return order.job if first else self._new_id()
