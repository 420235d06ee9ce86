"""Recordings to take away: ``/jobs/{id}/perf``, ``/perf`` and ``/report``, below ``/api/v1``."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from dashboard import shapes
from dashboard.api.asking import Asker, Clock, Refused, Who, asker, choice, refusing, span
from dashboard.api.described import SPAN, Described, body, inquiry, part
from dashboard.perf_json.chrome import ChromeTrace
from dashboard.perf_json.recording import Recording
from dashboard.perf_json.redaction import Names
from dashboard.perf_json.report import TEMPLATE, NotBuilt, report
from dashboard.perf_json.writing import Encoder, PerfJson
from dashboard.reading import Reading
from store.audit import SqlAudit
from store.recordings import Scope, SqlRecordings

_log = structlog.get_logger()
#: The longest span of a file.
_LONGEST_MS: Final = 31 * 86_400_000
#: Files that are made at a time: each reads much, and the gateway has other things to do. Of one
#: person's fewer, so that nobody keeps all others waiting.
_AT_A_TIME: Final = 4
_OF_ONE: Final = 2
#: Whoever takes nothing of a file for so long, seconds, has left it.
_STALLED_S: Final = 30.0
#: Bytes that are sent at a time.
_CHUNK: Final = 65_536
_ENCODERS: Final[dict[str, type[PerfJson] | type[ChromeTrace]]] = {
    "perf": PerfJson,
    "chrome": ChromeTrace,
}
_ENDINGS: Final = {"perf": "perf.json", "chrome": "trace.json"}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


class Perf:
    """Serves files. Artists get their own; names of users and models are made up."""

    def __init__(
        self,
        reading: Reading,
        who: Who,
        clock: Clock = time.time,
        template: Path = TEMPLATE,
    ) -> None:
        self._store: SqlRecordings = reading.recordings
        self._audit: SqlAudit = reading.audit
        self._recording = Recording(reading.recordings, reading.samples, reading.users, clock=clock)
        self._who = who
        self._clock = clock
        self._template = template
        #: files under way, by who asked
        self._making: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/jobs/{job_id}/perf", refusing(self.job)),
            web.get("/api/v1/perf", refusing(self.span)),
            web.get("/api/v1/report", refusing(self.report)),
        ]

    async def job(self, request: web.Request) -> web.StreamResponse:
        """One job, by its id or its prompt id."""
        asking = asker(self._who, request)
        names, form = _names(request, asking), _form(request)
        name = request.match_info["job_id"]
        whose = asking.only(request.query.get("user"))
        found = await self._store.find(name, whose)
        if found is None and whose is None:  # an admin's own prompt id
            found = await self._store.find(name, asking.user)
        if found is None:
            raise Refused(404, "Nothing is kept of such a job of yours (yet: jobs that wait).")
        # the user too: an id alone must never be enough
        scope = Scope(
            from_ms=found.from_ms,
            until_ms=max(found.until_ms, found.from_ms + 1),
            user=found.user,
            job=found.job,
        )
        await self._note(asking, f"job:{found.job}", found.user)
        return await self._stream(
            request, asking, scope, names, form, _UNSAFE.sub("", found.job)[:64]
        )

    async def span(self, request: web.Request) -> web.StreamResponse:
        """Everything between two times."""
        asking = asker(self._who, request)
        names, form, scope = _names(request, asking), _form(request), self._scope(request, asking)
        await self._note(asking, "pool", scope.user)
        return await self._stream(request, asking, scope, names, form, _when(scope))

    async def report(self, request: web.Request) -> web.StreamResponse:
        """The same as a page of its own."""
        asking = asker(self._who, request)
        names, scope = _names(request, asking), self._scope(request, asking)
        await self._note(asking, "pool", scope.user)
        async with self._turn(asking.user):
            try:
                page = await report(self._recording, scope, names, self._template)
            except NotBuilt as error:
                raise Refused(503, f"{str(error).capitalize()}.") from error
        headers = _headers(f"vramgate-{_when(scope)}.html")
        # should a browser open it here all the same, it is nobody's page
        headers["Content-Security-Policy"] = "sandbox allow-scripts allow-downloads"
        return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)

    def _scope(self, request: web.Request, asking: Asker) -> Scope:
        wanted = span(request, self._clock)
        if wanted.until_ms - wanted.from_ms > _LONGEST_MS:
            raise Refused(400, "A recording is of 31 days at most; ask for a shorter span.")
        user = asking.only(request.query.get("user"))
        return Scope(from_ms=wanted.from_ms, until_ms=wanted.until_ms, user=user)

    async def _note(self, asking: Asker, subject: str, user: str | None) -> None:
        """An admin's look at what others did is written down."""
        if asking.sees_all and user != asking.user:
            whose = {} if user is None else {"user": user}
            await self._audit.note(asking.user, "export", subject, whose)

    @asynccontextmanager
    async def _turn(self, user: str) -> AsyncIterator[None]:
        if self._making[user] >= _OF_ONE or self._making.total() >= _AT_A_TIME:
            raise Refused(503, "Other recordings are being made; try again in a minute.")
        self._making[user] += 1
        try:
            yield
        finally:
            self._making[user] -= 1
            if not self._making[user]:
                del self._making[user]

    async def _stream(
        self,
        request: web.Request,
        asking: Asker,
        scope: Scope,
        names: Names,
        form: str,
        title: str,
    ) -> web.StreamResponse:
        async with self._turn(asking.user):
            chunks = _chunks(self._recording, scope, names, _ENCODERS[form]())
            # before the head is sent: a store that does not answer is a refusal
            first = await anext(chunks)
            headers = _headers(f"vramgate-{title}.{_ENDINGS[form]}")
            response = web.StreamResponse(headers=headers)
            response.content_type = "application/json"
            response.enable_compression()
            await response.prepare(request)
            try:
                await _hand_over(response, first)
                async for chunk in chunks:
                    await _hand_over(response, chunk)
                await response.write_eof()
            except (SQLAlchemyError, OSError) as error:
                # half a file must not look like a whole one
                _log.warning("recording_broken_off", error=type(error).__name__)
                if request.transport is not None:
                    request.transport.abort()
            return response


async def _hand_over(response: web.StreamResponse, chunk: bytes) -> None:
    """Send it. Raises TimeoutError: nobody takes it."""
    async with asyncio.timeout(_STALLED_S):
        await response.write(chunk)


async def _chunks(
    recording: Recording, scope: Scope, names: Names, encoder: Encoder
) -> AsyncIterator[bytes]:
    waiting = bytearray(encoder.begin(recording.head(scope, names)))
    async for entry in recording.entries(scope, names):
        waiting += encoder.add(entry)
        if len(waiting) >= _CHUNK:
            yield bytes(waiting)
            waiting.clear()
            await asyncio.sleep(0)  # rows come from memory in long runs: others have their turn
    yield bytes(waiting) + encoder.end()


def _names(request: web.Request, asking: Asker) -> Names:
    true = choice(request, "names", ("made-up", "true"), "made-up") == "true"
    if true and not asking.sees_all:
        raise Refused(403, "Only admins may have true names in a file; leave `names` out.")
    return Names(true=true, own=None if asking.sees_all else asking.user)


def _form(request: web.Request) -> str:
    return choice(request, "format", tuple(_ENCODERS), "perf")


def _when(scope: Scope) -> str:
    return f"{datetime.fromtimestamp(scope.from_ms / 1000, UTC):%Y%m%dT%H%M%SZ}"


def _headers(filename: str) -> dict[str, str]:
    return {
        "Content-Disposition": f'attachment; filename="{filename}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }


_USER: Final = inquiry("user", "Only this user's; for admins.")
_NAMES: Final = inquiry(
    "names",
    "`true`: users, groups and models by their names; for admins. Texts are never there.",
    {"enum": ["made-up", "true"], "type": "string"},
)
_FORMAT: Final = inquiry(
    "format",
    "`chrome`: in Chrome's trace format, for Perfetto.",
    {"enum": list(_ENCODERS), "type": "string"},
)


def describe() -> Described:
    """For the document of the API."""
    job = part("job_id", "The job's id, or its prompt id; with `user` for other people's.")
    return Described(
        paths={
            "/api/v1/jobs/{job_id}/perf": {
                "get": _file("One job as a recording", job, _USER, _FORMAT, _NAMES)
                | {"x-format": "docs/perf-json.md"}
            },
            "/api/v1/perf": {
                "get": _file("A span of time as a recording", *SPAN, _USER, _FORMAT, _NAMES)
                | {"x-format": "docs/perf-json.md"}
            },
            "/api/v1/report": {
                "get": _file(
                    "A span of time as a page that opens offline", *SPAN, _USER, _NAMES, html=True
                )
            },
        },
        shapes=(),
    )


def _file(summary: str, *parameters: dict[str, Any], html: bool = False) -> dict[str, Any]:
    kind, schema = ("text/html", {"type": "string"}) if html else ("application/json", {})
    responses: dict[str, Any] = {
        "200": {"description": "The file.", "content": {kind: {"schema": schema}}},
        "400": body("A parameter is wrong; the text says which.", shapes.Failed),
        "403": body("The caller's role does not allow it.", shapes.Failed),
        "503": body("The store does not answer, or too much is asked for.", shapes.Failed),
    }
    if parameters[0]["in"] == "path":
        responses["404"] = body("The caller has no such job.", shapes.Failed)
    return {"summary": summary, "parameters": list(parameters), "responses": responses}
