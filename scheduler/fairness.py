"""Who is next: virtual counters of groups, then of users (pure).

A counter grows by what its owner's jobs cost: the *dominant share* of one GPU
that a job holds × its seconds ÷ weight. The least counter is served first; who
becomes backlogged is lifted to the least of those who already are (VTC, OSDI'24;
the ledger does that), so nobody saves up turns. A twenty-minute video thus costs
as much as 240 pictures of five seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from scheduler.plan_config import Limits
from scheduler.states import Backlog

#: Counters are whole microseconds of one GPU: integers add up alike everywhere.
MICROS: Final = 1_000_000
_NO_LIMITS: Final = Limits()


def dominant_share(bytes_: int, capacity_bytes: int, seats: int) -> float:
    """The share of one GPU that a job holds: of its bytes or of its workers, the larger (DRF).

    Args:
        bytes_: the job's reservation.
        capacity_bytes: the GPU's capacity; 0: not counted by bytes.
        seats: workers on the GPU, at least 1.
    """
    of_seats = 1 / max(1, seats)
    if capacity_bytes <= 0:
        return of_seats
    return min(1.0, max(bytes_ / capacity_bytes, of_seats))


def charge(share: float, seconds: float, weight: float) -> int:
    """What holding that share for so long costs, in microseconds of a GPU ÷ weight."""
    return math.floor(share * seconds * MICROS / weight + 0.5)


def jain(values: Iterable[float]) -> float:
    """Jain's index of an allocation: 1 when all are equal, 1/n when one has everything."""
    got = list(values)
    squares = sum(value * value for value in got)
    return 1.0 if squares == 0 else sum(got) ** 2 / (len(got) * squares)


class Counters:
    """The counters of one plan, in which its own admissions already count."""

    def __init__(
        self,
        backlogs: Iterable[Backlog],
        groups: Mapping[str, int],
        user_limits: Mapping[str, Limits],
        group_limits: Mapping[str, Limits],
    ) -> None:
        self._users = {backlog.user: backlog.virtual for backlog in backlogs}
        self._groups = dict(groups)
        self._user_limits = user_limits
        self._group_limits = group_limits

    def weight(self, user: str) -> float:
        """The user's weight within the group."""
        return self._user_limits.get(user, _NO_LIMITS).weight

    def group_weight(self, group: str) -> float:
        """The group's weight in the pool."""
        return self._group_limits.get(group, _NO_LIMITS).weight

    def order(self, backlog: Backlog) -> tuple[bool, int, int, int, int, str]:
        """Sort key: who is within its budget first; then least group, then least user.

        Ties, as at the start of a burst, go to whom asks for least, then to whom was
        served longest ago.
        """
        return (
            self._after_others(backlog),
            self._groups.get(backlog.group, 0),
            self._users[backlog.user],
            backlog.queued,
            backlog.last_admitted_ms,
            backlog.user,
        )

    def _after_others(self, backlog: Backlog) -> bool:
        own = self._user_limits.get(backlog.user, _NO_LIMITS)
        return own.after_others or self._group_limits.get(backlog.group, _NO_LIMITS).after_others

    def pay(self, backlog: Backlog, user_charge: int, group_charge: int) -> None:
        """Count an admission."""
        self._users[backlog.user] += user_charge
        self._groups[backlog.group] = self._groups.get(backlog.group, 0) + group_charge
