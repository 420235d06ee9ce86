"""Job control over HTTP: hold, unhold, front, back, cancel.

Everybody controls their own jobs, admins anybody's (``?user=NAME``), viewers nobody's.
Whose job it is decides before anything is looked up, so that no answer tells whether
somebody else has such a job. Cross-site requests are the gateway's to refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from config.settings import Role
from dashboard import shapes
from dashboard.live import UNAVAILABLE
from dashboard.looks import acted_on
from scheduler.ledger import CancelReply, LedgerUnavailable, SubmitSide
from scheduler.states import TERMINAL, Job, JobState

_log = structlog.get_logger()

#: What may be done to a job, as the last part of the path.
ACTIONS: Final = ("hold", "unhold", "front", "back", "cancel")
PATH: Final = f"/api/v1/jobs/{{prompt_id}}/{{action:{'|'.join(ACTIONS)}}}"


class Actions:
    """Serves ``POST /api/v1/jobs/{prompt_id}/{action}``."""

    def __init__(self, ledger: SubmitSide, who: Callable[[web.Request], tuple[str, Role]]) -> None:
        self._ledger = ledger
        self._who = who

    async def handle(self, request: web.Request) -> web.Response:
        """Do it: 200 with the job's state, 409 where it is too late, 404, 403, 503."""
        asking, role = self._who(request)
        owner = request.query.get("user", asking)
        if role is Role.VIEWER:
            return _refusal(403, "Viewers only look; ask an admin for another role.")
        if owner != asking and role is not Role.ADMIN:
            return _refusal(403, "Only admins may change other people's jobs.")
        prompt_id, action = request.match_info["prompt_id"], request.match_info["action"]
        try:
            job = await self._ledger.find(owner, prompt_id)
            reply = await act(self._ledger, job, action) if job is not None else None
        except LedgerUnavailable:
            return _refusal(503, UNAVAILABLE)
        if job is None or reply is None or reply.state is None:
            return _refusal(404, "You have no such job.")
        if not reply.changed and not _is_so(action, reply.state):
            late: shapes.NotChanged = {
                "error": _too_late(action, reply.state),
                "state": reply.state.value,
            }
            return _answer(409, late)
        acted_on(request, action, f"job:{job.id}", owner)
        _log.info("job_action", action=action, job=job.id, user=owner, by=asking)
        done: shapes.Changed = {
            "prompt_id": prompt_id,
            "state": reply.state.value,
            "changed": reply.changed,
        }
        return _answer(200, done)


async def act(ledger: SubmitSide, job: Job, action: str) -> CancelReply:
    """Do one of ``ACTIONS`` to a job.

    Raises:
        LedgerUnavailable: nothing is known about what was done.
    """
    if action == "cancel":
        return await ledger.cancel(job.user, job.id)
    if action in ("hold", "unhold"):
        return await ledger.hold(job.user, job.id, held=action == "hold")
    return await ledger.move(job.user, job.id, front=action == "front")


def _is_so(action: str, state: JobState) -> bool:
    """Whether a job that was not changed is as it was asked to be."""
    match action:
        case "hold":
            return state is JobState.QUEUED
        case "unhold":
            return state not in TERMINAL
        case "cancel":
            return state in (JobState.CANCELLING, JobState.CANCELLED)
        case _:
            return False


def _too_late(action: str, state: JobState) -> str:
    if action == "cancel":
        return f"It has ended already ({state.value})."
    return f"It is no longer queued ({state.value})."


def _refusal(status: int, message: str) -> web.Response:
    failed: shapes.Failed = {"error": message}
    return _answer(status, failed)


def _answer(status: int, body: shapes.Failed | shapes.NotChanged | shapes.Changed) -> web.Response:
    answer = web.json_response(body, status=status)
    answer.headers["Cache-Control"] = "no-store"
    return answer
