"""Notices that the models of a job have come to the GPU, so that the scheduler is told at once.

Loads take turns on a GPU: whoever waits for one starts the sooner.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from scheduler.loading import loaded_bytes
from scheduler.states import Job
from worker_agent.frames import Frame, Progress


class Load:
    """What one attempt has to load, until that is over."""

    def __init__(self, job: str, bytes_: int, samplers: Collection[str] = ()) -> None:
        """Look out for a load's end.

        Args:
            job: whose; "": it has nothing to load that anybody waits for.
            bytes_: its worker's process holds so much by then; 0: nobody knows.
            samplers: its nodes that compute with models on the GPU, step by step.
        """
        self._job = job
        self._bytes = bytes_
        self._samplers = samplers
        self._over = False

    @property
    def goes_on(self) -> bool:
        """Its end is looked out for."""
        return bool(self._job) and not self._over

    def ends_with(self, frame: Frame) -> bool:
        """Whether just this frame shows that it is over: a sampler has done its first step."""
        if not self.goes_on or not isinstance(frame, Progress):
            return False
        self._over = frame.node in self._samplers and frame.value is not None and frame.value >= 1
        return self._over

    def told(self, used_bytes: int) -> str:
        """The job, once its load is over; "" before. ``used_bytes``: its process holds so much."""
        if self._job and 0 < self._bytes <= used_bytes:
            self._over = True
        return self._job if self._over else ""


def load_of(job: Job, classes: Mapping[str, str]) -> Load:
    """What a job that is about to start has to load.

    Args:
        job: as it was claimed.
        classes: node id → class.
    """
    if not job.granted_load_seconds:
        return Load("", 0)
    # others than samplers tell progress as well, of downloads for one
    samplers = {node for node, name in classes.items() if "sampler" in name.lower()}
    return Load(job.id, loaded_bytes(job), samplers)
