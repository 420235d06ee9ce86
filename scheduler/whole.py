"""Which GPU a job that is larger than all of them gets (pure).

No GPU could promise what such a job needs, so it gets all of one, alone, and its limit: the
less it gets the slower it is and the likelier it fails. So it waits for the largest GPU that
it may use, even where a smaller one is free at once; among equal ones any will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from scheduler.states import GpuState, Job, WorkerState

if TYPE_CHECKING:
    from scheduler.placement import Card

#: GPUs are equal where they differ by no more: two of a kind show some MiB more or less, and
#: what other processes hold changes from one moment to the next.
_EQUAL_SHARE: Final = 0.97


@dataclass(frozen=True, slots=True)
class _Largest:
    """What GPUs could promise at most, and which of them could."""

    bytes: int
    #: ids of those from which a job larger than that may take one
    gpus: frozenset[str]


class WholeGpus:
    """The largest of a plan's GPUs, for each set of them that some job may use."""

    def __init__(
        self,
        cards: Mapping[str, Card],
        empty_bytes: Callable[[Card], int],
        *,
        reports_since_ms: int,
        resigned_at_ms: int,
    ) -> None:
        """Look at the GPUs of one plan.

        Args:
            cards: all, by id.
            empty_bytes: what one could promise if no other process used it.
            reports_since_ms: what was last heard of earlier is silent; server time.
            resigned_at_ms: nothing that has been silent since then is waited for, and a job
                that waits since then no longer hopes for what is not there now; server time.
        """
        self._cards = cards
        self._empty_bytes = empty_bytes
        self._since = min(reports_since_ms, resigned_at_ms)
        self._resigned_at = resigned_at_ms
        #: ids of the GPUs on which a job may run at all; None: on all of them
        self.cards_of: Callable[[Job], frozenset[str] | None] = lambda job: None
        self._now: dict[frozenset[str] | None, _Largest] = {}
        self._hoped: dict[frozenset[str] | None, _Largest] = {}

    def capacity(self, job: Job) -> int:
        """The most any one GPU can promise now that the job may use; 0 without one."""
        return self._largest_now(self.cards_of(job)).bytes

    def wants(self, job: Job) -> bool:
        """No GPU that it may use could promise the job's need: it gets all of one, and its limit.

        Memory that other processes hold today counts as free, as they may leave, and what a
        worker did not give back, as it may be started anew; a silent GPU counts, as it may
        come back. A job that has waited for that too long takes what there is.
        """
        return job.need_bytes > self._largest(job).bytes

    def offers(self, job: Job, card: Card) -> bool:
        """Whether a job that wants a whole GPU may take this one: no other is larger."""
        return card.gpu.id in self._largest(job).gpus

    def _largest(self, job: Job) -> _Largest:
        ids = self.cards_of(job)
        if job.submitted_ms <= self._resigned_at:
            return self._largest_now(ids)
        return self._largest_hoped(ids)

    def _largest_now(self, ids: frozenset[str] | None) -> _Largest:
        """By what is there now, workers' leftovers and other processes' memory included."""
        if ids not in self._now:
            cards = [card for card in self._among(ids) if _works(card)]
            self._now[ids] = _largest((card, card.capacity - card.leftovers) for card in cards)
        return self._now[ids]

    def _largest_hoped(self, ids: frozenset[str] | None) -> _Largest:
        """By what may be there yet; none that is smaller than another one's today is taken."""
        if ids not in self._hoped:
            found = _largest(
                (card, self._empty_bytes(card) - card.contexts) for card in self._among(ids)
            )
            now = _largest(
                (card, card.capacity - card.contexts) for card in self._among(ids) if card.heard
            )
            self._hoped[ids] = _Largest(found.bytes, found.gpus & now.gpus)
        return self._hoped[ids]

    def _among(self, ids: frozenset[str] | None) -> Iterable[Card]:
        """Those with workers that were heard of within the time for which a job waits."""
        return [
            card
            for card in self._cards.values()
            if card.seats
            and card.gpu.heartbeat_ms >= self._since
            and (ids is None or card.gpu.id in ids)
        ]


def _works(card: Card) -> bool:
    """Its figures can be believed, and a worker of it runs."""
    up = any(seat.state is not WorkerState.DOWN for seat in card.seats)
    return up and card.gpu.state is GpuState.READY


def _largest(promises: Iterable[tuple[Card, int]]) -> _Largest:
    found = list(promises)
    most = max((bytes_ for _, bytes_ in found), default=0)
    equal = (card.gpu.id for card, bytes_ in found if bytes_ >= _EQUAL_SHARE * most)
    return _Largest(most, frozenset(equal))
