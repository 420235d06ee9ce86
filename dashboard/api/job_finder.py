"""Finds a job for whoever may see it: in the store, or where that has it not, in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dashboard.api.asking import Asker, Refused
from dashboard.insight.record import Found, of_ledger
from scheduler.ledger import Ledger, LedgerUnavailable
from store.job_list import SqlJobs

#: One sentence for what is not there and for what is not the asker's: neither tells which.
NO_JOB = "You have no such job. The list of jobs has those that are kept."


class JobFinder:
    """By our own id, or by the id that its client knows."""

    def __init__(self, jobs: SqlJobs, ledger: Ledger) -> None:
        self._jobs = jobs
        self._ledger = ledger

    async def find(self, job_id: str, asking: Asker, owner: str | None = None) -> Found:
        """The job.

        Args:
            job_id: ours, or its client's.
            asking: who wants to see it.
            owner: whose job a client's id means; None: the asker's.

        Raises:
            Refused: there is none that the asker may see.
            LedgerUnavailable: the store has it not, and the ledger does not answer.
        """
        found = await self._by_id(job_id) or await self._by_prompt_id(
            asking.only(owner) or asking.user, job_id
        )
        if found is None or not (asking.sees_all or found.head.user_name == asking.user):
            raise Refused(404, NO_JOB)
        return (await self.told([found]))[0]

    async def told(self, jobs: Sequence[Found]) -> list[Found]:
        """The same, with the first admission of those that were tried several times."""
        again = [one.head.id for one in jobs if one.head.attempts > 1]
        first = await self._jobs.first_admissions(again) if again else {}
        return [
            replace(one, first_admitted_ms=first.get(one.head.id, one.first_admitted_ms))
            for one in jobs
        ]

    async def bodies(self, found: Found) -> tuple[bytes | None, bytes | None]:
        """Prompt and result; None: not kept, or not yet."""
        if found.live is None:
            return await self._jobs.bodies(found.head.id)
        ids = [found.head.id]
        return (await self._ledger.prompts(ids))[0], (await self._ledger.results(ids))[0]

    async def _by_id(self, job_id: str) -> Found | None:
        head = await self._jobs.one(job_id)
        if head is not None:
            return Found(head)
        (job,) = await self._ledger.jobs([job_id])
        return None if job is None else of_ledger(job)

    async def _by_prompt_id(self, user: str, prompt_id: str) -> Found | None:
        """The one that has not ended first: a client may use an id again."""
        try:
            job = await self._ledger.find(user, prompt_id)
        except LedgerUnavailable:
            job = None
        head = await self._jobs.find(user, prompt_id)
        if job is not None and (head is None or head.id != job.id):
            return of_ledger(job)
        return None if head is None else Found(head)
