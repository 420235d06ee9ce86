"""When a job's models have come to its GPU, seen from outside its process. Pure."""

from __future__ import annotations

from typing import Final

from scheduler.states import Job

#: A load is over when its process holds this share of the files' bytes (the VAE's come last) …
_LOADED_SHARE: Final = 0.9
#: … beside its context, of which this is the least that was measured.
_LEAST_CONTEXT: Final = 640 * 2**20


def loaded_bytes(job: Job) -> int:
    """What the process of a job that loads holds at least once that is over; 0: nobody knows."""
    weights = int(_LOADED_SHARE * sum(job.model_bytes))
    return min(_LEAST_CONTEXT + weights, job.reserved_bytes) if weights else 0
