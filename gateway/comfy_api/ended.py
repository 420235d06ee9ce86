"""Ended prompts, wherever they are kept: the newest in the ledger, the others in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.comfy_api.stored import decode_body, item_tail
from gateway.context import Services
from gateway.ports import PastJob
from scheduler.bookkeeping import SEQUENCES_PER_MS
from scheduler.closing import failure_data, wordless_entry
from scheduler.ledger_lists import JobEntry
from scheduler.states import TERMINAL, Job, JobState

#: later than any job's end
_NEVER_MS: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One ended prompt."""

    id: str
    prompt_id: str
    number: int
    state: JobState
    submitted_ms: int
    started_ms: int
    ended_ms: int
    #: body as submitted
    prompt: bytes
    #: JSON object ``{"outputs", "status", "meta"}``
    result: bytes

    def entry(self) -> bytes:
        """``"<prompt_id>": {…}`` as in ComfyUI's history, encoded."""
        item = b"[%d,%b" % (self.number, item_tail(self.prompt_id, decode_body(self.prompt)))
        rest = self.result.strip()[1:].lstrip()
        comma = b"" if rest.startswith(b"}") else b","
        name = msgspec.json.encode(self.prompt_id)
        return b'%b:{"prompt":%b%b%b' % (name, item, comma, rest)


@dataclass(frozen=True, slots=True)
class Window:
    """Where the ledger's part of a user's history begins; what is older only the store has."""

    before_ms: int
    #: jobs of that very millisecond that the ledger has: the store has them too
    but: tuple[str, ...]


def window(ended: Sequence[tuple[str, int]]) -> Window:
    """The window of a roster's ended jobs (id and score, oldest first)."""
    if not ended:
        return Window(_NEVER_MS, ())
    oldest_ms = ended[0][1] // SEQUENCES_PER_MS
    same = tuple(job_id for job_id, score in ended if score // SEQUENCES_PER_MS == oldest_ms)
    # one more millisecond: a job of the same one may have left the ledger already
    return Window(oldest_ms + 1, same)


async def find_ended(found: Services, user: str, prompt_id: str) -> Ended | None:
    """One ended prompt of the user's, or None."""
    entry = await found.ledger.entry(user, prompt_id)
    if entry is not None:
        if entry.job.state not in TERMINAL:
            return None
        recent = ended_of(entry)
        if recent is not None:
            return recent
    past = await found.archive.find(user, prompt_id)
    return of_past(past) if past is not None and shows(past) else None


def ended_of(entry: JobEntry) -> Ended | None:
    """One that has ended; None: there is nothing to show of it."""
    return _of_job(entry.job, entry.prompt, entry.result)


async def ended_jobs(found: Services, user: str, job_ids: Sequence[str]) -> list[Ended | None]:
    """Ended jobs of the user's roster; None: there is nothing to show of it."""
    if not job_ids:
        return []
    jobs = await found.ledger.jobs(job_ids)
    bodies = await found.ledger.prompts(job_ids)
    results = await found.ledger.results(job_ids)
    known = {
        job.id: one
        for job, body, result in zip(jobs, bodies, results, strict=True)
        if job is not None and (one := _of_job(job, body, result)) is not None
    }
    trimmed = [job_id for job_id in job_ids if job_id not in known]
    if trimmed:  # since it was listed; the store had it before
        known |= {one.id: of_past(one) for one in await found.archive.read(user, trimmed)}
    return [known.get(job_id) for job_id in job_ids]


def of_past(past: PastJob) -> Ended:
    """One of the store's."""
    return Ended(
        id=past.id,
        prompt_id=past.prompt_id,
        number=past.number,
        state=JobState(past.state),
        submitted_ms=past.submitted_ms,
        started_ms=past.started_ms,
        ended_ms=past.ended_ms,
        prompt=past.prompt,
        result=past.result,
    )


def _of_job(job: Job, body: bytes | None, result: bytes | None) -> Ended | None:
    if result is None and job.state is JobState.FAILED:
        result = _failed_unrun(job)
    if body is None or result is None:
        return None
    return Ended(
        id=job.id,
        prompt_id=job.prompt_id,
        number=job.number,
        state=job.state,
        submitted_ms=job.submitted_ms,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
        prompt=body,
        result=result,
    )


def shows(past: PastJob) -> bool:
    """Whether there is anything to show: ComfyUI keeps nothing of a prompt that was cancelled before it ran."""
    return past.result not in (b"", b"{}", b"null")


def _failed_unrun(job: Job) -> bytes:
    """A result for a job that the scheduler ended before any worker saw it."""
    reason = job.reason.value if job.reason is not None else ""
    data = failure_data(job.prompt_id, reason, job.wait_detail, at_ms=job.ended_ms)
    return msgspec.json.encode(wordless_entry([["execution_error", data]]))
