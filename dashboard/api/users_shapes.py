"""What ``dashboard.api.users`` answers, as types. Whole numbers are exact, however large."""

from __future__ import annotations

from typing import TypedDict


class Used(TypedDict):
    """Sums of one name. A client that reads numbers as floating point loses digits of ``byte_ms``."""

    #: wall time divided by the jobs that ran on the GPU at that moment, µs
    gpu_us: int
    #: reservation × time
    byte_ms: int
    #: the ledger's cost without weights, µs of a whole GPU
    cost_us: int
    energy_mj: int
    jobs: int
    failed: int
    #: until their first admission, summed up over the jobs
    wait_ms: int


class Waited(TypedDict):
    """How long jobs waited for the admission that ended them; None: none did."""

    wait_p50_ms: int | None
    wait_p95_ms: int | None


class UsageRow(Used, Waited):
    """One user, group, workflow, model or GPU."""

    #: empty: none, or of users who were forgotten
    name: str
    #: what people call it
    title: str


class UsageTotal(Used, Waited):
    """All rows together, also those of other pages."""


class Everybody(TypedDict):
    """What the whole pool did: counts without names."""

    gpu_us: int
    jobs: int


class Usage(TypedDict):
    """Who used what, most GPU time first."""

    from_ms: int
    until_ms: int
    by: str
    #: how many there are in all
    count: int
    rows: list[UsageRow]
    total: UsageTotal
    everybody: Everybody


class DaySeries(TypedDict):
    """One name's days, in the order of ``days``."""

    name: str
    title: str
    gpu_us: list[int]
    byte_ms: list[int]
    energy_mj: list[int]
    jobs: list[int]


class UsageDays(TypedDict):
    """The same by day of ``zone``: those with most GPU time apart, the others together."""

    from_ms: int
    until_ms: int
    by: str
    zone: str
    #: ``2026-11-25``
    days: list[str]
    series: list[DaySeries]
    #: how many names are added up in ``others``
    others_count: int
    others: DaySeries | None


class Budget(TypedDict):
    """GPU time of a calendar month, µs. None: no such limit."""

    #: user, group
    of: str
    name: str
    used_us: int
    soft_us: int | None
    hard_us: int | None
    #: ok; soft: everybody else goes first; spent: nothing more starts
    state: str


class Budgets(TypedDict):
    """Those of this month, the fullest first."""

    #: ``2026-11``
    month: str
    zone: str
    budgets: list[Budget]
