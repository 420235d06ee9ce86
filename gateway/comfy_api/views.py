"""Whose jobs a caller's lists show, and how: its own as they are, its mates' as they share them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from gateway.comfy_api.ended import Ended, ended_of, of_past, shows
from gateway.comfy_api.shared_job import shared_prompt, shared_result
from gateway.comfy_api.stored import StoredPrompt, decode_body, encode_stored
from gateway.context import Services
from scheduler.ledger_lists import JobEntry
from scheduler.states import TERMINAL

#: what ids of jobs are made of; anything may be asked for
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")


@dataclass(frozen=True, slots=True)
class View:
    """One user's jobs as one caller sees them."""

    owner: str
    #: False: a mate's
    own: bool = True
    #: whether a mate's outputs are shown with them
    files: bool = False

    @property
    def mark(self) -> str:
        """Tells pieces of answers apart that are made of the same job; empty: the owner's own."""
        return "" if self.own else f"{self.owner}{'/' if self.files else ''}"

    def id(self, job_id: str, prompt_id: str) -> str:
        """What the caller knows the prompt by: a mate's by the job, as clients choose the other."""
        return prompt_id if self.own else job_id

    def prompt(self, stored: StoredPrompt) -> StoredPrompt:
        """What was posted."""
        return stored if self.own else shared_prompt(stored, self.owner)

    def ended(self, one: Ended) -> Ended:
        """An ended prompt."""
        if self.own:
            return one
        return replace(
            one,
            prompt_id=one.id,
            prompt=encode_stored(self.prompt(decode_body(one.prompt))),
            result=shared_result(one.result, self.owner, one.id, files=self.files),
        )


@dataclass(frozen=True, slots=True)
class Views:
    """All that a caller's lists are made of."""

    own: View
    mates: tuple[View, ...] = ()

    def __iter__(self) -> Iterator[View]:
        """The caller's own first."""
        yield self.own
        yield from self.mates

    @property
    def others(self) -> tuple[str, ...]:
        """Whose jobs are shown besides the caller's."""
        return tuple(view.owner for view in self.mates)

    def question(self, about: str) -> str:
        """Names an answer (``Answers.get``): another one where other jobs are shown in it."""
        return f"{about} {' '.join(view.mark for view in self.mates)}" if self.mates else about


def views_of(found: Services, user: str) -> Views:
    """The caller's view of itself and of those who share their jobs with it."""
    mates = found.mates.queue(user)
    if not mates:
        return Views(View(user))
    files = bool(found.mates.outputs(user))
    return Views(View(user), tuple(View(mate, own=False, files=files) for mate in mates))


async def find_shared(
    found: Services, views: Views, job_id: str
) -> tuple[View, Ended | JobEntry] | None:
    """A mate's job by the id that the caller knows, if the caller itself has none of that id.

    It comes as it is, with the view through which the caller may see it.
    """
    if not views.mates or _ID.fullmatch(job_id) is None:
        return None
    if await found.ledger.find(views.own.owner, job_id) is not None:
        return None
    (job,) = await found.ledger.jobs([job_id])
    if job is None:
        return await _find_past(found, views, job_id)
    view = next((one for one in views.mates if one.owner == job.user), None)
    entry = None if view is None else await found.ledger.entry(job.user, job.prompt_id)
    if view is None or entry is None or entry.job.id != job_id:
        return None
    one = ended_of(entry) if entry.job.state in TERMINAL else entry
    return None if one is None else (view, one)


async def _find_past(found: Services, views: Views, job_id: str) -> tuple[View, Ended] | None:
    """One that only the store has."""
    for view in views.mates:
        for past in await found.archive.read(view.owner, [job_id]):
            return (view, of_past(past)) if shows(past) else None
    return None
