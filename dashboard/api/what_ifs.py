"""What would have been: ``/api/v1/contention/what-ifs``, for admins.

A question is kept in the store and put into the jobs' queue by a function that is handed in: the
dashboard knows neither the queue nor the simulator.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from config.settings import Settings
from dashboard import shapes
from dashboard.api import what_ifs_shapes as what_if_shapes
from dashboard.api.asking import (
    LONGEST_SPAN_MS,
    Clock,
    Refused,
    Span,
    Who,
    admin,
    answer,
    refusing,
    span,
)
from dashboard.api.described import PREFIX, SPAN, Described, body, part, read
from dashboard.api.posted import posted
from dashboard.api.users import whole_hours
from store.change import Change, Numbers, WrongChange, nothing, read_change
from store.past import PlayedGpu, SqlPast
from store.users import SqlUsers
from store.what_ifs import Progress, SqlWhatIfs, WhatIf

_log = structlog.get_logger()
_PATH: Final = "/api/v1/contention/what-ifs"
#: Longest time that is played: more jobs than are played at most, in most studios.
_LONGEST_MS: Final = 7 * 86_400_000
#: Whoever is not done after so long was killed.
_LOST_MS: Final = 1_200_000
#: Puts the question of this id into the jobs' queue; OSError: the queue does not answer.
Ask = Callable[[str], Awaitable[None]]


async def nobody(_id: str) -> None:
    """An ``Ask`` where nobody plays anything.

    Raises:
        OSError: always.
    """
    raise OSError("nobody plays what-ifs here")


class WhatIfs:
    """Asks, lists and shows."""

    def __init__(
        self,
        what_ifs: SqlWhatIfs,
        past: SqlPast,
        users: SqlUsers,
        settings: Callable[[], Settings],
        who: Who,
        ask: Ask,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        clock: Clock = time.time,
    ) -> None:
        self._what_ifs = what_ifs
        self._past = past
        self._users = users
        self._settings = settings
        self._who = who
        self._ask = ask
        self._new_id = new_id
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get(_PATH, refusing(self.newest)),
            web.post(_PATH, refusing(self.ask)),
            web.get(f"{_PATH}/choices", refusing(self.choices)),
            web.get(f"{_PATH}/{{id}}", refusing(self.one)),
        ]

    async def newest(self, request: web.Request) -> web.Response:
        """All that are kept."""
        admin(self._who, request)
        found = await self._what_ifs.newest()
        told: what_if_shapes.WhatIfs = {
            "what_ifs": [self._told(one, result=False) for one in found]
        }
        return answer(request, told)

    async def one(self, request: web.Request) -> web.Response:
        """With its result, when there is one."""
        admin(self._who, request)
        found = await self._what_ifs.one(request.match_info["id"])
        if found is None:
            raise Refused(404, "There is no such question, or none any more. Ask it again.")
        return answer(request, self._told(found, result=True))

    async def choices(self, request: web.Request) -> web.Response:
        """What there was in a span."""
        admin(self._who, request)
        wanted = whole_hours(span(request, self._clock))
        settings = self._settings()
        used = await self._users.sums(wanted.from_ms, wanted.until_ms)
        told: what_if_shapes.Choices = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "jobs": sum(one.jobs for one in used),
            "gpus": [_gpu(one) for one in await self._past.gpus(wanted.from_ms, wanted.until_ms)],
            "users": sorted({one.name for one in used} - {""}),
            "groups": sorted({group.name for group in settings.groups}),
            "scheduler": {
                name: getattr(settings.scheduler, name) for name in Numbers.__struct_fields__
            },
        }
        return answer(request, told)

    async def ask(self, request: web.Request) -> web.Response:
        """202 with the question's id; its answer comes later."""
        asking = admin(self._who, request)
        wanted, change = await self._read(request)
        now_ms = int(self._clock() * 1000)
        one = WhatIf(
            id=self._new_id(),
            asked_ms=now_ms,
            by_user=asking.user,
            from_ms=wanted.from_ms,
            until_ms=wanted.until_ms,
            change=msgspec.to_builtins(change),
            rules=rules_of(self._settings()),
        )
        await self._what_ifs.ask(one)
        try:
            await self._ask(one.id)
        except OSError as error:
            problem = "it could not be asked: the jobs' queue does not answer"
            await self._what_ifs.failed(one.id, now_ms, problem)
            _log.warning("what_if_not_asked", error=type(error).__name__)
            raise Refused(
                503,
                "The jobs' queue does not answer, so nothing was asked. It needs a plain Redis "
                "(jobs.redis_url) and `vramgate jobs`; ask again when it is back.",
            ) from error
        _log.info("what_if_asked", id=one.id, by=asking.user)
        return answer(request, self._told(one, result=False), status=202)

    async def _read(self, request: web.Request) -> tuple[Span, Change]:
        """The posted span and change.

        Raises:
            Refused: something is wrong with them.
        """
        told = await posted(request, like='{"from_ms": …, "until_ms": …, "change": {…}}')
        wanted = _span(told)
        try:
            change = read_change(told.get("change"))
        except WrongChange as error:
            raise Refused(400, f"`change` cannot be used: {error}") from error
        if nothing(change):
            raise Refused(400, "`change` changes nothing: name a GPU, a limit or a number.")
        return wanted, change

    def _told(self, one: WhatIf, *, result: bool) -> what_if_shapes.WhatIf:
        answered: Any = one.result if result else None
        begun = one.started_ms or one.asked_ms
        lost = (
            one.state in (Progress.WAITING, Progress.RUNNING)
            and self._clock() * 1000 - begun > _LOST_MS
        )
        return {
            "id": one.id,
            "asked_ms": one.asked_ms,
            "by_user": one.by_user,
            "from_ms": one.from_ms,
            "until_ms": one.until_ms,
            "change": dict(one.change),
            "state": "lost" if lost else one.state.value,
            "started_ms": one.started_ms,
            "ended_ms": one.ended_ms,
            "problem": one.problem,
            "result": answered,
        }


def _span(told: Mapping[str, Any]) -> Span:
    ends = [told.get(name) for name in ("from_ms", "until_ms")]
    # True is an int, too
    if not all(type(end) is int and 0 <= end < 10 * LONGEST_SPAN_MS for end in ends):
        raise Refused(400, "`from_ms` and `until_ms` must be milliseconds since 1970.")
    wanted = whole_hours(Span(*ends))  # type: ignore[arg-type]
    if not 0 < wanted.until_ms - wanted.from_ms <= _LONGEST_MS:
        raise Refused(400, "`from_ms` must be before `until_ms`, and at most 7 days before it.")
    return wanted


def rules_of(settings: Settings) -> dict[str, Any]:
    """The part of the settings that a simulated pool goes by: no keys, no addresses."""
    limits = {"name", "group", "max_running", "weight", "vram_share"}
    return settings.model_dump(
        mode="json",
        include={
            "users": {"__all__": limits},
            "groups": {"__all__": limits - {"group"}},
            "scheduler": True,
            "admission": True,
        },
    )


def _gpu(gpu: PlayedGpu) -> what_if_shapes.PlayedGpu:
    return {"id": gpu.id, "total_bytes": gpu.total_bytes, "workers": gpu.workers}


def describe() -> Described:
    """For the document of the API."""
    at = {"type": "integer", "minimum": 0}
    question = {
        "type": "object",
        "properties": {
            "from_ms": at,
            "until_ms": at,
            "change": {"$ref": f"#/components/schemas/{PREFIX}Change"},
        },
        "required": ["from_ms", "until_ms", "change"],
    }
    none = "There is no such question any more."
    asked = {
        "summary": "Ask what a change would have made of a recorded time; for admins",
        "requestBody": {"required": True, "content": {"application/json": {"schema": question}}},
        "responses": {
            "202": body("It is asked; its answer comes later.", what_if_shapes.WhatIf),
            "400": body("It cannot be asked so; the text says why.", shapes.Failed),
            "403": body("The caller is no admin.", shapes.Failed),
            "413": body("The body is too large.", shapes.Failed),
            "503": body("The store or the jobs' queue does not answer.", shapes.Failed),
        },
    }
    return Described(
        {
            _PATH: {
                "get": read("Questions of what would have been", what_if_shapes.WhatIfs),
                "post": asked,
            },
            f"{_PATH}/choices": {
                "get": read("What can be changed about a span", what_if_shapes.Choices, *SPAN)
            },
            f"{_PATH}/{{id}}": {
                "get": read(
                    "One question and its answer",
                    what_if_shapes.WhatIf,
                    part("id", "The question's id."),
                    missing=none,
                )
            },
        },
        (what_if_shapes.WhatIfs, what_if_shapes.WhatIf, what_if_shapes.Choices, Change),
    )
