"""Whose prompts a worker runs. What is recorded of anybody else's is nobody's business here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from scheduler.ledger import Ledger, LedgerUnavailable
from scheduler.states import Job

_log = structlog.get_logger(__name__)

#: prompts remembered: records come within seconds, or at the next connection
_KEPT: Final = 64
_OURS: Final = frozenset({"job", "attempt", "user"})
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Of one prompt."""

    job: str
    attempt: int
    user: str


class Owners:
    """Of one worker's prompts."""

    def __init__(self, worker: str, ledger: Ledger) -> None:
        self._worker = worker
        self._ledger = ledger
        #: by the worker's name of the prompt; None: asked in vain
        self._known: dict[str, Owner | None] = {}
        #: of what was begun last
        self._now: Owner | None = None

    def begin(self, job: Job, uuid: str) -> None:
        """An attempt begins, or is gone on with."""
        self._now = Owner(job.id, job.attempt, job.user)
        self._note(uuid, self._now)

    def owned(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record with whose it is; None: it is of somebody else's prompt.

        What names no prompt (a sample, a gap) is taken for the running prompt's.
        """
        prompt = record.get("prompt")
        if prompt is None:
            owner = self._now
        else:
            owner = self._known.get(prompt) if isinstance(prompt, str) else None
            if owner is None:
                return None
        # a node pack could write these itself
        bare = {name: value for name, value in record.items() if name not in _OURS}
        return bare if owner is None else {**bare, **_fields(owner)}

    async def learn(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Ask the ledger for prompts that an agent before us has begun."""
        named = {p for record in records if isinstance(p := record.get("prompt"), str)}
        asked = [p for p in named if p not in self._known and _UUID.fullmatch(p)][:_KEPT]
        if not asked:
            return
        try:
            # a first attempt has its job's id
            jobs = await self._ledger.jobs(asked)
        except LedgerUnavailable as error:
            _log.warning("ledger_unavailable", call="jobs", detail=str(error))
            return
        for prompt, job in zip(asked, jobs, strict=True):
            # a node pack may write what it likes: the job must have been here
            here = job is not None and job.worker == self._worker and job.attempt_uuid == prompt
            owner = Owner(job.id, job.attempt, job.user) if job is not None and here else None
            self._note(prompt, owner)

    def _note(self, prompt: str, owner: Owner | None) -> None:
        self._known.pop(prompt, None)
        self._known[prompt] = owner
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]


def _fields(owner: Owner) -> dict[str, Any]:
    return {"job": owner.job, "attempt": owner.attempt, "user": owner.user}
