"""One page of ``/api/jobs``: sorted by what is known of each job without its body.

A user may have ten thousand jobs that wait and more that have ended. What they are sorted and
filtered by comes from the roster and from the store's columns; bodies are read for the page
alone. Only a filter by workflow reads all of them, once, and of the store's the newest thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.comfy_api import job_body
from gateway.comfy_api.ended import Ended, ended_jobs, of_past, window
from gateway.comfy_api.job_body import ENDED
from gateway.comfy_api.jobs_query import JobsQuery
from gateway.comfy_api.stored import decode_body
from gateway.comfy_api.views import View, Views
from gateway.context import Services
from gateway.ports import PastHead, PastJob
from gateway.roster import Roster, Waiting
from scheduler.states import TERMINAL, Job

#: most jobs of one answer, where no limit is asked for or a larger one
MOST: Final = 1000
#: bodies that are read at once
_BATCH: Final = 200
#: what a head occupies, about
_HEAD_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class _Line:
    """One job of the list, as far as it is sorted and filtered."""

    value: int
    number: int
    id: str
    view: View
    #: where the rest is: the ledger's record, its end's score there, or None: the store
    source: Waiting | Job | int | None


async def page(found: Services, views: Views, query: JobsQuery) -> tuple[list[bytes], int]:
    """The jobs that a query asks for, encoded, and how many there are on all pages."""
    end = query.offset + min(MOST if query.limit is None else query.limit, MOST)
    lines: list[_Line] = []
    total = 0
    for view in views:
        some, count = await _of_one(found, view, query, end)
        lines, total = lines + some, total + count
    lines.sort(key=lambda line: (line.value, line.number, line.id), reverse=query.descending)
    lines = lines[query.offset : end]
    shown: dict[str, bytes] = {}
    for view in views:
        shown |= await _bodies(found, view, [line for line in lines if line.view is view])
    return [shown[line.id] for line in lines if line.id in shown], total


async def _of_one(
    found: Services, view: View, query: JobsQuery, end: int
) -> tuple[list[_Line], int]:
    """Lines of one user, as many as a page may need, and how many there are."""
    roster = await found.rosters.read(view.owner)
    lines = _unfinished(roster, view, query)
    states = [state.value for state, status in ENDED.items() if status in query.statuses]
    total = len(lines)
    if states:
        lines += await _ended(found, view, roster, states, query)
        total = len(lines)
        older, count = await _older(found, view, roster, states, query, end)
        lines, total = lines + older, total + count
    if query.workflow_id is not None:
        workflows = await _workflows(found, view, lines)
        lines = [line for line in lines if workflows.get(line.id) == query.workflow_id]
        total = len(lines)
    return lines, total


def _unfinished(roster: Roster, view: View, query: JobsQuery) -> list[_Line]:
    lines = []
    if "in_progress" in query.statuses:
        for job in roster.active:
            value = 0 if query.by_duration else job.submitted_ms
            lines.append(_Line(value, job.number, job.id, view, job))
    if "pending" in query.statuses:
        for one in roster.waiting:
            value = 0 if query.by_duration else one.head.submitted_ms
            lines.append(_Line(value, one.number, one.id, view, one))
    return lines


async def _ended(
    found: Services, view: View, roster: Roster, states: Sequence[str], query: JobsQuery
) -> list[_Line]:
    """Those that the ledger has; of each a record is read once."""
    ends = found.rosters.ends
    heads = {key: ends.get(key) for key in roster.ended}
    new = [key for key, head in heads.items() if head is None]
    jobs = await found.ledger.jobs([job_id for job_id, _ in new]) if new else []
    known = {job.id: _head(job) for job in jobs if job is not None and job.state in TERMINAL}
    trimmed = [job_id for job_id, _ in new if job_id not in known]
    if trimmed:  # since they were listed; the store had them before
        known |= {one.id: _head(one) for one in await found.archive.read(view.owner, trimmed)}
    for key in new:
        if key[0] in known:
            heads[key] = known[key[0]]
            ends.put(key, known[key[0]], _HEAD_BYTES)
    return [
        _Line(_value(head, query), head.number, head.id, view, score)
        for (_, score), head in heads.items()
        if head is not None and head.state in states
    ]


async def _older(
    found: Services,
    view: View,
    roster: Roster,
    states: Sequence[str],
    query: JobsQuery,
    end: int,
) -> tuple[list[_Line], int]:
    """Those that only the store has, as many as a page may need, and how many there are."""
    user, limit = view.owner, window(roster.ended)
    count = await found.archive.count(user, before_ms=limit.before_ms, but=limit.but, states=states)
    if not count:
        return [], 0
    all_of_them = query.workflow_id is not None
    heads = await found.archive.heads(
        user,
        before_ms=limit.before_ms,
        but=limit.but,
        states=states,
        by_duration=query.by_duration and not all_of_them,
        descending=query.descending or all_of_them,
        most=MOST if all_of_them else end,
    )
    return [_Line(_value(head, query), head.number, head.id, view, None) for head in heads], count


def _value(head: PastHead, query: JobsQuery) -> int:
    return head.duration_ms if query.by_duration else head.created_ms


def _head(job: Job | PastJob) -> PastHead:
    return PastHead(
        id=job.id,
        number=job.number,
        state=str(job.state),
        created_ms=job.submitted_ms,
        duration_ms=job.ended_ms - (job.started_ms or job.submitted_ms),
    )


async def _workflows(found: Services, view: View, lines: Sequence[_Line]) -> dict[str, str | None]:
    """The workflow of each job; read once as long as it is remembered."""
    shown = found.rosters.shown
    known = {line.id: shown.get(("workflow", line.id)) for line in lines}
    new = [line for line in lines if known[line.id] is None]
    for start in range(0, len(new), _BATCH):
        batch = new[start : start + _BATCH]
        for job_id, body in (await _prompts(found, view.owner, batch)).items():
            found_id = job_body.workflow_id(decode_body(body))
            known[job_id] = encoded = msgspec.json.encode(found_id)
            shown.put(("workflow", job_id), encoded, _HEAD_BYTES)
    return {id_: msgspec.json.decode(name) for id_, name in known.items() if name is not None}


async def _prompts(found: Services, user: str, lines: Sequence[_Line]) -> dict[str, bytes]:
    in_store = [line.id for line in lines if line.source is None]
    in_ledger = [line.id for line in lines if line.source is not None]
    bodies = zip(in_ledger, await found.ledger.prompts(in_ledger), strict=True)
    prompts = {job_id: body for job_id, body in bodies if body is not None}
    if in_store:
        prompts |= {one.id: one.prompt for one in await found.archive.read(user, in_store)}
    return prompts


async def _bodies(found: Services, view: View, lines: Sequence[_Line]) -> dict[str, bytes]:
    """Lines as they are shown; what cannot change any more is made once."""
    shown = found.rosters.shown
    made = {line.id: shown.get(_key(line)) for line in lines if _lasts(line)}
    new = [line for line in lines if made.get(line.id) is None]
    fresh = await _made(found, view, new) if new else {}
    for line in new:
        if line.id in fresh:
            made[line.id] = fresh[line.id]
            if _lasts(line):
                shown.put(_key(line), fresh[line.id], len(fresh[line.id]))
    return {job_id: body for job_id, body in made.items() if body is not None}


def _key(line: _Line) -> tuple[object, ...]:
    return ("job", line.id, line.view.mark, line.source)


def _lasts(line: _Line) -> bool:
    return isinstance(line.source, int | Waiting)


async def _made(found: Services, view: View, lines: Sequence[_Line]) -> dict[str, bytes]:
    waiting = [line for line in lines if isinstance(line.source, Waiting | Job)]
    made = {}
    workflows = await _workflows(found, view, waiting)
    for line in waiting:
        workflow = workflows.get(line.id)
        if isinstance(line.source, Waiting):
            head = line.source.head
            name = view.id(line.id, head.prompt_id)
            body = job_body.unfinished(name, line.number, head.submitted_ms, workflow)
        elif isinstance(line.source, Job):
            job = line.source
            body = job_body.unfinished(
                view.id(job.id, job.prompt_id),
                job.number,
                job.submitted_ms,
                workflow,
                started_ms=job.started_ms,
            )
        made[line.id] = msgspec.json.encode(body)
    recent = [line.id for line in lines if isinstance(line.source, int)]
    past = [line.id for line in lines if line.source is None]
    ended: list[Ended | None] = await ended_jobs(found, view.owner, recent)
    if past:
        ended += [of_past(one) for one in await found.archive.read(view.owner, past)]
    made |= {
        one.id: msgspec.json.encode(job_body.ended(view.ended(one)))
        for one in ended
        if one is not None
    }
    return made
