"""A ledger with a pool to run jobs on, and an empty store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.ledger import Admitted, Claimed, Ending, Grant, Settled, Submitted
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Job, NewJob, WaitReason
from store.engine import open_engine
from store.migrate import migrate
from tests.factories import GIB, gpu, new_job, outcome, report, worker
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url


@pytest.fixture
async def engine(store_url: str) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(store_url)
    await migrate(opened)
    yield opened
    await opened.dispose()


class Floor:
    """Plays everybody who acts on the ledger: gateway, scheduler and the agent ``host``."""

    def __init__(self, ledger: RedisLedger, epoch: int) -> None:
        self.ledger = ledger
        self._epoch = epoch

    async def submit(
        self, user: str = "ann", prompt: bytes = b'{"1": {}}', **changes: Any
    ) -> NewJob:
        job = new_job(user, **changes)
        assert isinstance(await self.ledger.submit(job, prompt, max_queued=None), Submitted)
        return job

    async def start(self, job: NewJob, on: str = "host-0") -> int:
        """Admit and claim; the attempt."""
        seen = await self.ledger.snapshot(100)
        found = {queued.id: queued for backlog in seen.backlogs for queued in backlog.jobs}
        free = next(one for one in seen.workers if one.id == on)
        grant = Grant(bytes=4 * GIB, capacity_bytes=24 * GIB)
        admitted = await self.ledger.admit(self._epoch, found[job.id], free, grant, 60_000)
        assert isinstance(admitted, Admitted), admitted
        claimed = await self.ledger.claim(job.id, admitted.attempt, on, "uuid", "sid", 60_000)
        assert isinstance(claimed, Claimed), claimed
        return admitted.attempt

    async def settle(
        self, job: NewJob, attempt: int, ending: Ending = Ending.SUCCEEDED, **changes: Any
    ) -> None:
        closed = await self.ledger.settle(job.id, attempt, outcome(ending, **changes))
        assert isinstance(closed, Settled), closed

    async def run(self, job: NewJob, files: Sequence[tuple[str, str, str]] = ()) -> None:
        """From queue to success, with outputs of these worker's names."""
        attempt = await self.start(job)
        named = await self.ledger.name_files(job.user, "host", "host-0", files)
        images = [
            {"filename": one.filename, "subfolder": one.subfolder, "type": one.type}
            for one in named
        ]
        result = {"outputs": {"9": {"images": images}}, "status": {}, "meta": {}}
        await self.settle(job, attempt, result=json.dumps(result).encode())

    async def explain(
        self, job: NewJob, reason: WaitReason, detail: str, blocker: str = ""
    ) -> None:
        await self.ledger.explain(self._epoch, {job.id: (reason, detail, blocker)})

    async def find(self, job: NewJob) -> Job:
        found = await self.ledger.find(job.user, job.prompt_id)
        assert found is not None
        return found


@pytest.fixture
async def floor(ledger: RedisLedger) -> Floor:
    """One GPU of 24 GiB, 2 of them foreign, with a worker that holds 6 and an empty one."""
    await ledger.report(
        report(
            workers=[
                worker("host-0", "gpu-0", used_bytes=6 * GIB),
                worker("host-1", "gpu-0"),
            ],
            gpus=[gpu("gpu-0", used_bytes=8 * GIB, foreign_bytes=2 * GIB)],
        )
    )
    epoch = await ledger.lead("test", 600_000)
    assert epoch is not None
    return Floor(ledger, epoch)
