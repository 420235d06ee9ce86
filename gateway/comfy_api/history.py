"""``/history``: the caller's ended prompts, from the ledger first, then from the store.

Where mates share their jobs, theirs are among them by the time of their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.comfy_api.ended import Ended, ended_jobs, find_ended, of_past, window
from gateway.comfy_api.queue import ids, json_body, number
from gateway.comfy_api.views import View, Views, find_shared, views_of
from gateway.context import Services, identity, services
from gateway.json_body import encoded_reply
from scheduler.bookkeeping import SEQUENCES_PER_MS
from scheduler.states import TERMINAL

#: most entries of one answer: each may hold a whole workflow of 100 KiB
_MOST: Final = 1000


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [
        web.get("/history", get_history),
        web.get("/history/{prompt_id}", get_entry),
        web.post("/history", post_history),
    ]


async def get_history(request: web.Request) -> web.Response:
    """Entries by prompt_id, oldest first; ``max_items`` alone means the newest.

    Raises:
        BadRequest: ``max_items`` or ``offset`` is no number.
    """
    found, user = services(request), identity(request).user
    views = views_of(found, user)
    max_items, offset = number(request, "max_items"), number(request, "offset")
    if max_items is not None and max_items <= 0:
        return encoded_reply(b"{}")
    if offset is not None and offset < 0:
        offset = None
    most = found.settings().store.keep_jobs if max_items is None and offset is None else max_items
    most = min(_MOST if most is None else most, _MOST)

    async def build() -> bytes:
        if offset is None:
            entries = await _newest_of_all(found, views, skip=0, most=most)
        else:
            entries = await _from(found, views, offset, most)
        return b"{" + b",".join(entries) + b"}"

    question = views.question(f"history {most} {offset}")
    return encoded_reply(await found.answers.get(user, question, build, views.others))


async def get_entry(request: web.Request) -> web.Response:
    """One entry, or an empty object for an id that the caller may not see or has not ended."""
    found, user = services(request), identity(request).user
    prompt_id = request.match_info["prompt_id"]

    async def build() -> bytes:
        one = await find_ended(found, user, prompt_id)
        return b"{}" if one is None else b"{" + one.entry() + b"}"

    own = await found.answers.get(user, f"entry {prompt_id}", build)
    shared = await find_shared(found, views_of(found, user), prompt_id) if own == b"{}" else None
    if shared is None or not isinstance(shared[1], Ended):
        return encoded_reply(own)
    return encoded_reply(b"{" + shared[0].ended(shared[1]).entry() + b"}")


async def post_history(request: web.Request) -> web.Response:
    """``clear`` the caller's history, or ``delete`` some entries. Unknown ids do nothing.

    Raises:
        BadRequest: the body is no JSON object.
    """
    found, user = services(request), identity(request).user
    body = await json_body(request)
    if body.get("clear"):
        await found.ledger.hide(user, None)
        await found.archive.hide(user, None)
    prompt_ids = ids(body.get("delete"))
    if prompt_ids:
        jobs = [await found.ledger.find(user, prompt_id) for prompt_id in prompt_ids]
        ended = [job.id for job in jobs if job is not None and job.state in TERMINAL]
        await found.ledger.hide(user, ended)
        await found.archive.hide(user, prompt_ids)
    await found.ledger.stamp(user)  # the store's part is gone only now
    return web.Response()


async def _from(found: Services, views: Views, offset: int, most: int) -> list[bytes]:
    """Entries from the ``offset`` oldest on, among the newest ``_MOST``."""
    there = 0
    for view in views:
        ended = (await found.rosters.read(view.owner)).ended
        limit = window(ended)
        older = await found.archive.count(view.owner, before_ms=limit.before_ms, but=limit.but)
        there += len(ended) + older
    rest = min(there, _MOST) - offset
    if rest <= 0:
        return []
    taken = min(rest, most)
    return await _newest_of_all(found, views, skip=rest - taken, most=taken)


async def _newest_of_all(found: Services, views: Views, *, skip: int, most: int) -> list[bytes]:
    """Entries past the ``skip`` newest, at most ``most``, oldest first."""
    if not views.mates:
        return await _newest(found, views.own, skip=skip, most=most)
    ends = [end for view in views for end in await _ends(found, view, skip + most)]
    ends.sort(key=lambda end: end.score)
    last = max(len(ends) - skip, 0)
    ends = ends[max(last - most, 0) : last]
    entries: dict[str, bytes] = {}
    names: set[bytes] = set()
    for view in views:
        for job_id, entry in (await _entries(found, view, ends)).items():
            # a client may have called a prompt of its own as a mate's is called: its own is meant
            if view.own or _name(entry) not in names:
                entries[job_id] = entry
        if view.own:
            names = {_name(entry) for entry in entries.values()}
    return [entries[end.id] for end in ends if end.id in entries]


def _name(entry: bytes) -> bytes:
    """An entry's id as it is written, or the first part of one that no job of ours has."""
    return entry[: entry.index(b'":')]


@dataclass(frozen=True, slots=True)
class _End:
    """When a job of a longer list ended; of most of them no more is read."""

    #: as the ledger counts it
    score: int
    id: str
    view: View
    #: id and score in the ledger; None: only the store has it
    key: tuple[str, int] | None


async def _ends(found: Services, view: View, most: int) -> list[_End]:
    """The newest ends of one user, oldest first."""
    ended = (await found.rosters.read(view.owner)).ended
    newest = ended[max(len(ended) - most, 0) :]
    recent = [_End(score, job_id, view, (job_id, score)) for job_id, score in newest]
    if len(recent) == most:
        return recent
    limit = window(ended)
    past = await found.archive.ends(
        view.owner, newest=most - len(recent), before_ms=limit.before_ms, but=limit.but
    )
    old = [_End(at_ms * SEQUENCES_PER_MS, job_id, view, None) for job_id, at_ms in reversed(past)]
    return old + recent


async def _entries(found: Services, view: View, ends: Sequence[_End]) -> dict[str, bytes]:
    """Entries of one user's jobs among these, by job."""
    mine = [end for end in ends if end.view is view]
    keys = [end.key for end in mine if end.key is not None]
    entries = {key[0]: entry for key, entry in (await _recent(found, view, keys)).items()}
    past = [end.id for end in mine if end.key is None]
    if past:
        old = await found.archive.read(view.owner, past)
        entries |= {one.id: view.ended(of_past(one)).entry() for one in old}
    return entries


async def _newest(found: Services, view: View, *, skip: int, most: int) -> list[bytes]:
    """The caller's own entries past the ``skip`` newest, at most ``most``, oldest first."""
    user = view.owner
    ended = (await found.rosters.read(user)).ended
    end = max(len(ended) - skip, 0)
    recent = await _recent(found, view, ended[max(end - most, 0) : end])
    missing = most - min(end, most)
    if missing <= 0:
        return list(recent.values())
    limit = window(ended)
    past = await found.archive.ended(
        user,
        newest=missing,
        before_ms=limit.before_ms,
        skip=max(skip - len(ended), 0),
        but=limit.but,
    )
    return [*(of_past(one).entry() for one in past), *recent.values()]


async def _recent(
    found: Services, view: View, ended: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], bytes]:
    """Entries of jobs that the ledger has; each is read and put together once."""
    shown = found.rosters.shown
    entries = {key: shown.get(("entry", *key, view.mark)) for key in ended}
    new = [key for key, entry in entries.items() if entry is None]
    jobs = await ended_jobs(found, view.owner, [key[0] for key in new])
    for key, one in zip(new, jobs, strict=True):
        if one is not None:
            entries[key] = entry = view.ended(one).entry()
            shown.put(("entry", *key, view.mark), entry, len(entry))
    return {key: entry for key, entry in entries.items() if entry is not None}
