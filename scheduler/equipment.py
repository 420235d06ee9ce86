"""Which workers have the nodes and models that a job names, while one plan is made (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from scheduler.catalogue import missing
from scheduler.decisions import Wait
from scheduler.placement import Room
from scheduler.states import Job, Snapshot, WaitReason, Worker

#: Names in a sentence; of more the number is told.
_NAMED: Final = 2


class Equipment:
    """What the workers of one snapshot offer. One that has not told is taken to offer all."""

    def __init__(self, snapshot: Snapshot, room: Room) -> None:
        self._snapshot = snapshot
        self._room = room
        self._digests = frozenset(worker.catalogue for worker in snapshot.workers)
        #: catalogues that have all of a requirement: asked for each of a thousand waiting jobs
        self._able: dict[str, frozenset[str]] = {}
        #: some job that was asked about cannot run on all workers
        self.some_picky = False
        self._lacking: dict[tuple[bool, str], Wait | None] = {}
        #: the catalogues of workers that run, by whether a GPU is needed
        self._up: dict[bool, frozenset[str]] = {}

    def offers(self, job: Job, worker: Worker) -> bool:
        """Whether a worker has all that the job names."""
        return not job.requires or worker.catalogue in self._having(job.requires)

    def is_picky(self, job: Job) -> bool:
        """Whether some worker, running or not, has not all that the job names."""
        return bool(job.requires) and len(self._having(job.requires)) < len(self._digests)

    def lacking(self, job: Job) -> Wait | None:
        """That workers run, and none of them has all that the job names; None: one has."""
        if not self.is_picky(job):
            return None
        key = (job.needs_gpu, job.requires)
        if key not in self._lacking:
            up = self._digests_up(needs_gpu=job.needs_gpu)
            some = not up or bool(up & self._having(job.requires))
            self._lacking[key] = None if some else self._tell(job, up)
        known = self._lacking[key]
        return None if known is None else Wait(job, known.reason, known.detail, known.blocker)

    def _digests_up(self, *, needs_gpu: bool) -> frozenset[str]:
        if needs_gpu not in self._up:
            seats = self._room.up(needs_gpu=needs_gpu)
            self._up[needs_gpu] = frozenset(seat.worker.catalogue for seat in seats)
        return self._up[needs_gpu]

    def _having(self, requires: str) -> frozenset[str]:
        known = self._able.get(requires)
        if known is None:
            catalogues = self._snapshot.catalogues
            known = frozenset(
                digest
                for digest in self._digests
                if (one := catalogues.get(digest)) is None or not missing(one, requires)
            )
            self._able[requires] = known
            self.some_picky = self.some_picky or len(known) < len(self._digests)
        return known

    def _tell(self, job: Job, up: Iterable[str]) -> Wait:
        known = self._snapshot.catalogues
        wanted = min((missing(known[digest], job.requires) for digest in sorted(up)), key=len)
        holders = [one.id for one in self._snapshot.workers if self.offers(job, one)]
        what = " and ".join(self._name(token) for token in wanted[:_NAMED])
        if len(wanted) > _NAMED:
            what += f" and {len(wanted) - _NAMED} more"
        if not holders:
            text = f"needs {what}; no worker has all that this prompt names, the admins can help"
            return Wait(job, WaitReason.MODEL_MISSING, text)
        text = f"needs {what}: only {', '.join(holders)} can run it, and is not up"
        return Wait(job, WaitReason.MODEL_MISSING, text, holders[0])

    def _name(self, token: str) -> str:
        names = (one.name_of(token) for one in self._snapshot.catalogues.values())
        return next((name for name in names if name is not None), "something")
