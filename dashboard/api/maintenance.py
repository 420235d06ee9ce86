"""``/api/v1/maintenance``: everybody reads whether new prompts start, admins change it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from config.edits import MAINTENANCE, with_limits
from config.maintenance import Maintenance
from config.settings import Settings
from dashboard.api.asking import Clock, Refused, Who, admin, answer, asker, refusing
from dashboard.api.described import Described, body, read
from dashboard.api.maintenance_shapes import MaintenanceState
from dashboard.api.posted import posted, takes, text_of
from dashboard.operations import Operations
from dashboard.shapes import Failed
from scheduler.ledger import Ledger
from store.audit import SqlAudit

#: An end further away than a year is a mistake in units.
_LONGEST_MS: Final = 366 * 86_400_000


class MaintenanceMode:
    """Serves it. What is said in the file holds until an admin says otherwise."""

    def __init__(
        self,
        ledger: Ledger,
        operations: Operations,
        audit: SqlAudit,
        who: Who,
        clock: Clock = time.time,
    ) -> None:
        self._ledger = ledger
        self._operations = operations
        self._audit = audit
        self._who = who
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        path = "/api/v1/maintenance"
        return [web.get(path, refusing(self.get)), web.put(path, refusing(self.put))]

    async def get(self, request: web.Request) -> web.Response:
        """How it is now."""
        asker(self._who, request)
        return answer(request, self._state(await self._settings()))

    async def put(self, request: web.Request) -> web.Response:
        """Switch it: ``{"on": true, "message": "…", "until_ms": …}``."""
        asking = admin(self._who, request)
        wanted = self._wanted(await posted(request))
        text = json.dumps(wanted.model_dump(mode="json"))
        # first: what cannot be written down is not done
        await self._audit.note(asking.user, "maintenance", "pool", json.loads(text))
        await self._ledger.override({MAINTENANCE: text})
        return answer(request, self._state(await self._settings()))

    def _wanted(self, sent: dict[str, object]) -> Maintenance:
        on, until_ms = sent.get("on"), sent.get("until_ms")
        if not isinstance(on, bool):
            raise Refused(400, "`on` must be true or false.")
        now_ms = int(self._clock() * 1000)
        if until_ms is not None and not (
            type(until_ms) is int and now_ms < until_ms <= now_ms + _LONGEST_MS
        ):
            raise Refused(
                400, "`until_ms` must be a time to come, milliseconds since 1970, within a year."
            )
        until = datetime.fromtimestamp(until_ms / 1000, UTC) if type(until_ms) is int else None
        return Maintenance(enabled=on, message=text_of(sent, "message").strip(), until=until)

    async def _settings(self) -> Settings:
        _, overrides = await self._ledger.overrides()
        return with_limits(self._operations.base(), overrides)

    def _state(self, settings: Settings) -> MaintenanceState:
        found = settings.maintenance
        on = not found.over(self._clock())
        until = found.until if on else None
        return {
            "on": on,
            "message": found.message if on else "",
            "until_ms": int(until.timestamp() * 1000) if until else None,
        }


def describe() -> Described:
    """For the document of the API."""
    switched = {
        "summary": "Let new prompts wait, or start again",
        "description": "For admins. Prompts are still taken and wait; what runs ends.",
        "requestBody": takes(
            on={"type": "boolean"},
            message_={"type": "string", "maxLength": 300},
            until_ms_={"type": ["integer", "null"]},
        ),
        "responses": {
            "200": body("As it is now.", MaintenanceState),
            "304": {"description": "The caller has it already (`If-None-Match`)."},
            "400": body("A field is wrong; the text says which.", Failed),
            "403": body("The caller is no admin.", Failed),
            "413": body("The body is too long.", Failed),
            "503": body("Queue or store do not answer: nothing was changed.", Failed),
        },
    }
    return Described(
        {
            "/api/v1/maintenance": {
                "get": read("Whether new prompts start", MaintenanceState),
                "put": switched,
            }
        },
        (MaintenanceState,),
    )
