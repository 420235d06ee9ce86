"""What a user's lists are made of, in memory (``scheduler.ledger_lists``)."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.bookkeeping import number_at
from scheduler.ledger_lists import JobEntry, JobHead, Listing
from scheduler.memory_base import BooksBase
from scheduler.states import Job


class BooksLists(BooksBase):
    """``ListSide`` in memory."""

    def changed(self, user: str) -> str:
        """Names the present state of the user's jobs: another name after each change."""
        return self.look_up(user).changed

    def stamp(self, user: str) -> None:
        """Give them another name: what the store shows of the user's jobs has changed."""
        if user in self.users:
            self.users[user].changed = f"stamped {self.new_call()}"

    def listing(self, user: str) -> Listing:
        """Which jobs the user has, in their orders."""
        owner = self.look_up(user)
        waiting = sorted([*owner.queue, *owner.held])
        return Listing(
            changed=owner.changed,
            active=tuple(owner.active),
            waiting=tuple((job_id, number_at(place)) for place, job_id in waiting),
            ended=tuple(owner.done.items()),
        )

    def heads(self, job_ids: Sequence[str]) -> list[JobHead | None]:
        """What never changes of these jobs, in the order asked; None: trimmed."""
        return [_head(job) for job in self.jobs(job_ids)]

    def first_held(self, user: str, count: int) -> list[Job]:
        """The first of the user's jobs that are held, in queue order."""
        held = sorted(self.look_up(user).held)[: max(count, 0)]
        return [self.records[job_id].job for _, job_id in held]

    def entry(self, user: str, prompt_id: str) -> JobEntry | None:
        """The user's job that its client knows by this id; None too when it was hidden."""
        named = self.look_up(user).prompt_ids.get(prompt_id)
        record = None if named is None else self.records.get(named[1])
        if record is None:
            return None
        job_id = record.job.id
        return JobEntry(record.job, self.bodies.get(job_id), self.outcomes.get(job_id))


def _head(job: Job | None) -> JobHead | None:
    return None if job is None else JobHead(job.prompt_id, job.client_id, job.submitted_ms)
