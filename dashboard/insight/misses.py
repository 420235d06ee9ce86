"""How right the promises to some jobs were (pure)."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from dashboard.api.workflow_shapes import EstimateErrors
from store.job_list import JobHead

#: Upper edges of relative errors; the last class is open.
EDGES: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def byte_errors(jobs: Sequence[JobHead]) -> EstimateErrors:
    """Bytes promised as the comfortable peak against the measured one."""
    return _errors([(job.need_bytes, job.peak_bytes) for job in _comfortable(jobs)])


def second_errors(jobs: Sequence[JobHead]) -> EstimateErrors:
    """Seconds expected with models loaded against those that it ran."""
    return _errors([(job.need_seconds, job.run_seconds) for job in _comfortable(jobs)])


def _comfortable(jobs: Sequence[JobHead]) -> list[JobHead]:
    """Those that ended well and were given all that they were said to need.

    With less a job takes less, and longer: that is no mistake of the estimate's.
    """
    return [
        job
        for job in jobs
        if job.state == "SUCCEEDED" and not 0 < job.reserved_bytes < job.need_bytes
    ]


def _errors(pairs: Sequence[tuple[float, float]]) -> EstimateErrors:
    told = [(promised, real) for promised, real in pairs if promised > 0 and real > 0]
    errors = [abs(promised - real) / real for promised, real in told]
    classes = [0] * (len(EDGES) + 1)
    for error in errors:
        classes[bisect_left(EDGES, error)] += 1
    return {
        "runs": len(errors),
        "under": sum(real > promised for promised, real in told),
        "median": statistics.median(errors) if errors else None,
        "edges": list(EDGES),
        "classes": classes,
    }
