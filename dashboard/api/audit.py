"""``/api/v1/audit``: who did and saw what, for admins; and the same to take away."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import hdrs, web
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from dashboard.api import audit_shapes as shapes
from dashboard.api.asking import Clock, Who, admin, answer, choice, page, refusing, span
from dashboard.api.cursor import cursor, next_of
from dashboard.api.described import PAGE, SPAN, Described, Json, body, inquiry, read
from dashboard.shapes import Failed
from store.audit import Deed, DeedFilter, SqlAudit

_log = structlog.get_logger()
#: What is shown where no time is asked for.
_SPAN_MS: Final = 30 * 86_400_000
_COLUMNS: Final = ("at_ms", "by", "action", "subject", "user", "detail")
#: Signs at the beginning of a cell that spreadsheets take for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_FORMATS: Final = {"json": "application/json", "csv": "text/csv"}


class Audit:
    """For admins alone; that somebody took it away is an entry, too."""

    def __init__(
        self,
        audit: SqlAudit,
        settings: Callable[[], Settings],
        who: Who,
        clock: Clock = time.time,
    ) -> None:
        self._audit = audit
        self._settings = settings
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/audit", refusing(self.all)),
            web.get("/api/v1/audit/export", refusing(self.export)),
        ]

    async def all(self, request: web.Request) -> web.Response:
        """By time, ``by``, ``action`` and ``subject``, newest first."""
        admin(self._who, request)
        rows = page(request).rows
        found = await self._audit.page(self._wanted(request), rows + 1, cursor(request))
        told: shapes.AuditPage = {
            "entries": [_entry(deed) for deed in found[:rows]],
            "next": next_of(found, rows),
            "keep_seconds": self._settings().history.keep_audit,
        }
        return answer(request, told)

    async def export(self, request: web.Request) -> web.StreamResponse:
        """All of it as a file: ``format=csv`` or ``json``."""
        asking = admin(self._who, request)
        form, wanted = choice(request, "format", tuple(_FORMATS), "json"), self._wanted(request)
        await self._audit.note(asking.user, "export", "audit:", {"format": form})
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="vramgate-audit.{form}"',
                hdrs.CACHE_CONTROL: "no-store",
            }
        )
        response.content_type = _FORMATS[form]
        response.charset = "utf-8"
        await response.prepare(request)
        try:
            await self._write(response, wanted, form)
        except (SQLAlchemyError, OSError) as error:
            # half a file must not look like a whole one
            _log.warning("audit_export_broken_off", error=type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _write(self, response: web.StreamResponse, wanted: DeedFilter, form: str) -> None:
        line = _as_csv if form == "csv" else _as_json
        await response.write(_head(form))
        first = True
        async for deed in self._audit.all(wanted):
            await response.write(line(_entry(deed), first).encode())
            first = False
        if form == "json":
            await response.write(b"\n]\n")
        await response.write_eof()

    def _wanted(self, request: web.Request) -> DeedFilter:
        asked = span(request, self._clock, _SPAN_MS)
        query = request.query
        return DeedFilter(
            from_ms=asked.from_ms,
            # what has just happened is part of it
            until_ms=asked.until_ms if "until" in query else asked.until_ms + 60_000,
            by_user=query.get("by") or None,
            action=query.get("action") or None,
            subject=query.get("subject") or None,
        )


def _entry(deed: Deed) -> shapes.AuditEntry:
    detail = dict(deed.detail)
    user = detail.pop("user", "")
    if not user and deed.subject.startswith("user:"):
        user = deed.subject.removeprefix("user:")
    return {
        "id": deed.id,
        "at_ms": deed.at_ms,
        "by": deed.by_user,
        "action": deed.action,
        "subject": deed.subject,
        "user": str(user or ""),
        "detail": detail,
    }


def _head(form: str) -> bytes:
    return (",".join(_COLUMNS) + "\r\n").encode() if form == "csv" else b"["


def _as_json(entry: shapes.AuditEntry, first: bool) -> str:
    return ("\n" if first else ",\n") + json.dumps(entry, ensure_ascii=False)


def _as_csv(entry: shapes.AuditEntry, _first: bool) -> str:
    written = io.StringIO()
    row = {**entry, "detail": json.dumps(entry["detail"], ensure_ascii=False)}
    csv.writer(written).writerow(_cell(row[name]) for name in _COLUMNS)
    return written.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def describe() -> Described:
    """For the document of the API."""
    filters = (
        *SPAN,
        inquiry("by", "Who did it."),
        inquiry("action", "A word, for example `view`, `limit`, `forget`."),
        inquiry("subject", "Whole, or with its colon at the end all that begin so (`limit:`)."),
    )
    form = inquiry("format", "Of the file.", {"enum": list(_FORMATS), "type": "string"})
    exported: Json = {
        "summary": "The audit log as a file",
        "parameters": [*filters, form],
        "responses": {
            "200": {
                "description": "All entries, newest first.",
                "content": {
                    "application/json": {"schema": {"type": "array"}},
                    "text/csv": {"schema": {"type": "string"}},
                },
            },
            "400": body("A parameter is wrong; the text says which.", Failed),
            "403": body("The caller is no admin.", Failed),
            "503": body("The store does not answer.", Failed),
        },
    }
    before = inquiry("before", "`next` of the page before.")
    return Described(
        {
            "/api/v1/audit": {
                "get": read("Who did and saw what", shapes.AuditPage, *filters, before, PAGE[1])
            },
            "/api/v1/audit/export": {"get": exported},
        },
        (shapes.AuditPage,),
    )
