"""Usage as a file: ``/api/v1/users/statement``, of a month or of a span, as CSV, JSON or HTML."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from aiohttp import web

from config.settings import Settings
from dashboard import shapes
from dashboard.api.asking import Clock, Refused, Span, Who, asker, choice, refusing, span
from dashboard.api.described import SPAN, Described, body, inquiry
from dashboard.api.users import BY, USER, day_sums, whole_hours
from dashboard.looks import looked_at
from store.records import By, UsageSum
from store.statement import Statement, csv_of, html_of, json_of
from store.users import SqlUsers

#: form → how it is written, and what it is
_FORMS: Final[dict[str, tuple[Callable[[Statement], str], str]]] = {
    "csv": (csv_of, "text/csv"),
    "json": (json_of, "application/json"),
    "html": (html_of, "text/html"),
}
#: Nothing of it runs, whatever a name may hold.
_HTML_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


class Statements:
    """Admins take everybody's, others their own."""

    def __init__(
        self,
        users: SqlUsers,
        settings: Callable[[], Settings],
        who: Who,
        clock: Clock = time.time,
    ) -> None:
        self._users = users
        self._settings = settings
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [web.get("/api/v1/users/statement", refusing(self.statement))]

    async def statement(self, request: web.Request) -> web.Response:
        """Of ``?month=2026-11``, else of ``?from=&until=``."""
        user = asker(self._who, request).only(request.query.get("user"))
        if user is not None:
            looked_at(request, f"user:{user}", user)
        by = By(choice(request, "by", tuple(one.value for one in By), By.USER.value))
        form = choice(request, "form", tuple(_FORMS), "csv")
        zone = ZoneInfo(self._settings().scheduler.rhythm_zone)
        if "month" in request.query:
            wanted, told, kind = *_month(request.query["month"], zone), "month"
        else:
            wanted = whole_hours(span(request, self._clock))
            told, kind = _in_words(wanted, zone), "span"
        days = choice(request, "each", ("all", "day"), "all") == "day"
        found = await self._rows(wanted, by, user, zone, days=days)
        statement = Statement(
            told, by, tuple(row for _, row in found), kind, tuple(day for day, _ in found if day)
        )
        write, content_type = _FORMS[form]
        name = f"vramgate-usage-{told.replace(' ', '').replace(':', '')}-{by.value}.{form}"
        return web.Response(
            text=write(statement) + "\n",
            content_type=content_type,
            charset="utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": _HTML_POLICY,
            },
        )

    async def _rows(
        self, wanted: Span, by: By, user: str | None, zone: ZoneInfo, *, days: bool
    ) -> list[tuple[str, UsageSum]]:
        """Day ("": all of it) and sums."""
        if not days:
            sums = await self._users.sums(wanted.from_ms, wanted.until_ms, by, user=user)
            return [("", one) for one in sums]
        found = await day_sums(self._users, wanted, by, user, zone)
        rows = [
            (day, UsageSum(name=name, at_ms=None, **one))
            for name, of_days in found.items()
            for day, one in of_days.items()
        ]
        return sorted(rows, key=lambda row: (row[0], -row[1].gpu_us, row[1].name))


def _month(text: str, zone: ZoneInfo) -> tuple[Span, str]:
    try:
        start = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
    except ValueError as error:
        raise Refused(400, "Write `month` as 2026-11.") from error
    if not 1970 < start.year < 2100:
        raise Refused(400, "`month` must lie between 1971 and 2099.")
    end = (start + timedelta(days=32)).replace(day=1)
    ends = (int(one.timestamp() * 1000) for one in (start, end))
    return Span(*ends), f"{start:%Y-%m}"


def _in_words(wanted: Span, zone: ZoneInfo) -> str:
    ends = (
        f"{datetime.fromtimestamp(at / 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M}"
        for at in (wanted.from_ms, wanted.until_ms)
    )
    return " to ".join(ends)


def describe() -> Described:
    """For the document of the API."""
    form = inquiry("form", "What is written.", {"type": "string", "enum": list(_FORMS)})
    month = inquiry("month", "As 2026-11, of `scheduler.rhythm_zone`; instead of a span.")
    each = inquiry("each", "Days apart, or not.", {"type": "string", "enum": ["all", "day"]})
    content: dict[str, Any] = {
        kind: {"schema": {} if kind == "application/json" else {"type": "string"}}
        for _, kind in _FORMS.values()
    }
    return Described(
        {
            "/api/v1/users/statement": {
                "get": {
                    "summary": "Usage as a file, in whole numbers",
                    "parameters": [month, *SPAN, BY, USER, each, form],
                    "responses": {
                        "200": {"description": "The file.", "content": content},
                        "400": body("A parameter is wrong; the text says which.", shapes.Failed),
                        "403": body("The caller's role does not allow it.", shapes.Failed),
                        "503": body("The store does not answer.", shapes.Failed),
                    },
                }
            }
        },
        (),
    )
