"""Advice: ``/api/v1/advice``, what concerns one job, and dismissals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from config.settings import Role
from dashboard import shapes
from dashboard.advice.body import concerns, seen_by
from dashboard.advice.engine import LEVEL
from dashboard.api import advice_shapes
from dashboard.api.asking import (
    Asker,
    Clock,
    Refused,
    Who,
    answer,
    asker,
    choice,
    page,
    refusing,
)
from dashboard.api.described import PAGE, Described, body, inquiry, part, read
from dashboard.api.job_finder import JobFinder
from dashboard.api.posted import posted
from scheduler.ledger import Ledger
from store.advice import ADMINS, KeptAdvice, SqlAdvice
from store.audit import SqlAudit
from store.job_list import SqlJobs

_log = structlog.get_logger()
_PATH: Final = "/api/v1/advice"
_STATES: Final = ("open", "dismissed", "ended")
#: What ended is shown for so long.
_ENDED_MS: Final = 30 * 86_400_000
_MOST_BYTES: Final = 8192
_MOST_WHY: Final = 500
NO_ADVICE: Final = "There is no such advice for you (any more)."


class Advices:
    """Artists get what concerns their jobs, admins all of it."""

    def __init__(
        self,
        advice: SqlAdvice,
        audit: SqlAudit,
        jobs: SqlJobs,
        ledger: Ledger,
        who: Who,
        clock: Clock = time.time,
    ) -> None:
        self._advice = advice
        self._audit = audit
        self._finder = JobFinder(jobs, ledger)
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get(_PATH, refusing(self.all)),
            web.post(_PATH, refusing(self.ask)),
            web.get(f"{_PATH}/{{id}}", refusing(self.one)),
            web.post(f"{_PATH}/{{id}}/dismiss", refusing(self.dismiss)),
            web.post(f"{_PATH}/{{id}}/recall", refusing(self.recall)),
            web.get("/api/v1/jobs/{job_id}/advice", refusing(self.of_job)),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """``?state=open|dismissed|ended``, ``?kind=``, a page at a time."""
        asking = asker(self._who, request)
        state = choice(request, "state", _STATES, "open")
        wanted, kind = page(request), request.query.get("kind")
        found = await self._advice.all(_scope(asking), ended_after_ms=self._now_ms() - _ENDED_MS)
        if kind:
            found = [one for one in found if one.kind == kind]
        sorted_out = {name: [one for one in found if _state(one) == name] for name in _STATES}
        chosen, turn = sorted_out[state], await self._advice.turn()
        told: advice_shapes.AdviceList = {
            "advice": self._told(chosen[wanted.start : wanted.start + wanted.rows], asking),
            "total": len(chosen),
            "open": len(sorted_out["open"]),
            "dismissed": len(sorted_out["dismissed"]),
            "ended": len(sorted_out["ended"]),
            "level": LEVEL,
            "done_ms": turn.done_ms,
            "asked": turn.asked_ms is not None and turn.asked_ms > (turn.done_ms or 0),
        }
        return answer(request, told)

    async def one(self, request: web.Request) -> web.Response:
        """One, whatever has become of it."""
        asking = asker(self._who, request)
        (told,) = self._told([await self._find(request, asking)], asking)
        return answer(request, told)

    async def of_job(self, request: web.Request) -> web.Response:
        """What concerns a job, by our id or its client's."""
        asking = asker(self._who, request)
        found = await self._finder.find(
            request.match_info["job_id"], asking, request.query.get("user")
        )
        open_ones = [one for one in await self._advice.all(_scope(asking)) if not one.dismissed]
        job = found.head
        mine = [
            one for one in open_ones if concerns(one.body, job.id, job.user_name, job.fingerprint)
        ]
        told: advice_shapes.JobAdvice = {"advice": self._told(mine, asking)}
        return answer(request, told)

    async def ask(self, request: web.Request) -> web.Response:
        """202: it is found anew soon."""
        _may_change(asker(self._who, request))
        now_ms = self._now_ms()
        await self._advice.ask(now_ms)
        told: advice_shapes.AdviceAsked = {"asked_ms": now_ms}
        return answer(request, told, status=202)

    async def dismiss(self, request: web.Request) -> web.Response:
        """``{"why": …}``: gone for the caller (an admin's: for all admins) until far stronger."""
        asking = _may_change(asker(self._who, request))
        why = await _why(request)
        found = await self._find(request, asking)
        await self._advice.dismiss(found, _scope(asking), asking.user, why, self._now_ms())
        await self._note(asking, "dismiss", found, {"kind": found.kind, "why": why})
        return await self.one(request)

    async def recall(self, request: web.Request) -> web.Response:
        """Take a dismissal back."""
        asking = _may_change(asker(self._who, request))
        found = await self._find(request, asking)
        if await self._advice.recall(found.id, _scope(asking)):
            await self._note(asking, "recall", found, {"kind": found.kind})
        return await self.one(request)

    async def _find(self, request: web.Request, asking: Asker) -> KeptAdvice:
        found = await self._advice.one(request.match_info["id"], _scope(asking))
        if found is None:
            raise Refused(404, NO_ADVICE)
        return found

    async def _note(
        self, asking: Asker, deed: str, found: KeptAdvice, detail: dict[str, Any]
    ) -> None:
        await self._audit.note(asking.user, f"advice.{deed}", f"advice:{found.id}", detail)
        _log.info("advice_changed", deed=deed, advice=found.id, kind=found.kind, by=asking.user)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _told(self, found: Sequence[KeptAdvice], asking: Asker) -> list[advice_shapes.Advice]:
        return [_advice(one, asking) for one in found]


def _scope(asking: Asker) -> str:
    return ADMINS if asking.sees_all else asking.user


def _may_change(asking: Asker) -> Asker:
    if asking.role is Role.VIEWER:
        raise Refused(403, "Viewers only look; ask an admin for another role.")
    return asking


def _state(one: KeptAdvice) -> str:
    if one.ended_ms is not None:
        return "ended"
    return "dismissed" if one.dismissed else "open"


async def _why(request: web.Request) -> str:
    """The posted reason.

    Raises:
        Refused: there is none, or it is no text.
    """
    why = (await posted(request, _MOST_BYTES, '{"why": "…"}')).get("why")
    if not isinstance(why, str) or not 0 < len(why.strip()) <= _MOST_WHY:
        raise Refused(400, f"`why` must say why, in at most {_MOST_WHY} characters.")
    return why.strip()


def _advice(one: KeptAdvice, asking: Asker) -> advice_shapes.Advice:
    shown: Any = seen_by(one.body, None if asking.sees_all else asking.user)
    what = shown.pop("gain_in")
    dismissal: advice_shapes.AdviceDismissal | None = None
    if one.dismissal is not None:
        told = one.dismissal
        dismissal = {"by": told.by_user, "at_ms": told.at_ms, "why": told.why}
    return {
        "id": one.id,
        "kind": one.kind,
        "since_ms": one.since_ms,
        "found_ms": one.found_ms,
        "ended_ms": one.ended_ms,
        "gain": {"what": what, "expected": one.gain, "low": one.gain_low, "high": one.gain_high},
        "dismissed": one.dismissed,
        "dismissal": dismissal,
        **shown,
    }  # type: ignore[typeddict-item]


def describe() -> Described:
    """For the document of the API."""
    state = inquiry("state", "Which; open where missing.", {"enum": list(_STATES)})
    kind = inquiry("kind", "Only of this kind.")
    user = inquiry("user", "Whose job a client's id means; for admins.")
    which = part("id", "The advice's id.")
    one = read("One piece of advice", advice_shapes.Advice, which, missing=NO_ADVICE)
    return Described(
        {
            _PATH: {
                "get": read(
                    "Advice, what gains most first", advice_shapes.AdviceList, state, kind, *PAGE
                ),
                "post": {
                    "summary": "Have advice found anew",
                    "responses": {
                        "202": body("It is on its way.", advice_shapes.AdviceAsked),
                        "403": body("The caller is a viewer.", shapes.Failed),
                        "503": body("The store does not answer.", shapes.Failed),
                    },
                },
            },
            f"{_PATH}/{{id}}": {"get": one},
            f"{_PATH}/{{id}}/dismiss": {"post": _changing("Hear no more of it", posts=True)},
            f"{_PATH}/{{id}}/recall": {"post": _changing("Take a dismissal back")},
            "/api/v1/jobs/{job_id}/advice": {
                "get": read(
                    "Advice that concerns a job",
                    advice_shapes.JobAdvice,
                    part("job_id", "The job's id, or its client's prompt id."),
                    user,
                    missing="The caller has no such job.",
                )
            },
        },
        (
            advice_shapes.AdviceList,
            advice_shapes.Advice,
            advice_shapes.JobAdvice,
            advice_shapes.AdviceAsked,
        ),
    )


def _changing(summary: str, *, posts: bool = False) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": _MOST_WHY}
    asked = {"type": "object", "properties": {"why": text}, "required": ["why"]}
    responses = {
        "200": body("As it is now.", advice_shapes.Advice),
        "403": body("The caller is a viewer.", shapes.Failed),
        "404": body(NO_ADVICE, shapes.Failed),
        "503": body("The store does not answer.", shapes.Failed),
    }
    found = {
        "summary": summary,
        "parameters": [part("id", "The advice's id.")],
        "responses": responses,
    }
    if posts:
        responses["400"] = body("It does not say why.", shapes.Failed)
        responses["413"] = body("The reason is too long.", shapes.Failed)
        found["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": asked}},
        }  # fmt: skip
    return found
