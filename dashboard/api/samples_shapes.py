"""What ``dashboard.api.samples`` answers, as types."""

from __future__ import annotations

from typing import TypedDict

#: (from, until) milliseconds
Gap = tuple[int, int]
Column = list[float | None]


class Curve(TypedDict):
    """Columns of one length; a moment's figures stand at one index. None: not known then."""

    at_ms: list[int]
    columns: dict[str, Column]
    #: times of which nothing is known: never zeros
    gaps: list[Gap]


class Holder(TypedDict):
    """What one worker held of a GPU at the moments of its curve, and for whom.

    ``user`` is empty where it was idle; to users who are no admins all others are ``others``.
    """

    worker: str
    user: str
    bytes: list[int]


class GpuCurve(Curve):
    """One GPU's. Bytes are means over a step, beside the least free memory."""

    holders: list[Holder]


class GpuCurves(TypedDict):
    """Every GPU's curve, by its id."""

    from_ms: int
    until_ms: int
    step_s: int
    gpus: dict[str, GpuCurve]


class PoolCurve(TypedDict):
    """Queue and running jobs."""

    from_ms: int
    until_ms: int
    step_s: int
    curve: Curve
