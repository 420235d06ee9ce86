"""A worker's memory while a prompt ran, in columns, with its gaps (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dashboard.api.job_shapes import Memory
from scheduler.estimate import CONTEXT_BYTES
from store.timeline import Point

#: The probe samples four times a second: so long without a point is a gap.
_GAP_MS: Final = 2_000


def memory(
    points: Sequence[Point], lost: Sequence[tuple[int, int]], begin_ms: int, end_ms: int
) -> Memory:
    """Columns of a curve.

    Args:
        points: oldest first.
        lost: (until ms, records) that the probe had to drop.
        begin_ms: since when it should be there.
        end_ms: up to when it should be there.
    """
    times = [point.at_ms for point in points]
    pairs = zip([begin_ms, *times], [*times, end_ms], strict=True)
    return {
        "at_ms": times,
        "allocated": [point.allocated for point in points],
        "reserved": [point.reserved for point in points],
        "footprint": [point.reserved + CONTEXT_BYTES for point in points],
        "device_free": [point.device_free for point in points],
        "gaps": [(before, after) for before, after in pairs if after - before > _GAP_MS],
        "lost": sum(count for _, count in lost),
    }
