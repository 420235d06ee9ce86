"""Alerts: what fires, what fired, rules, silences, messages.

Users see the alerts that are about them or their jobs, admins all. Rules are everybody's to read;
what they see just now, silences and messages are the admins'.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from aiohttp import web

from config.alert_rules import Rule, no_such_rule, rules_of
from config.settings import Settings
from dashboard.alerts.dead_man import is_unwatched
from dashboard.alerts.message import trial_body
from dashboard.api import alert_shapes as shapes
from dashboard.api.alert_rows import (
    alert_row,
    message_row,
    pending_row,
    receivers_of,
    rule_row,
    silence_row,
)
from dashboard.api.asking import (
    Clock,
    Refused,
    Who,
    admin,
    answer,
    asker,
    page,
    refusing,
    span,
)
from dashboard.api.described import PAGE, SPAN, Described, Json, body, inquiry, part, read, ref
from dashboard.api.posted import posted_as
from dashboard.looks import looked_at
from dashboard.shapes import Failed
from store.alert_messages import SqlAlertMessages
from store.alert_records import Message
from store.alerts import SqlAlerts
from store.audit import SqlAudit

#: Shown where no time is asked for.
_SPAN_MS: Final = 7 * 86_400_000
#: A silence says nothing after so long: whatever it hides is no exception any more.
LONGEST_SILENCE_MS: Final = 90 * 86_400_000
_Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
NO_ALERT: Final = "You have no such alert."


class SilenceAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Alerts that nobody is to be told of: patterns with `*`, until when, and why."""

    rule: _Pattern
    until_ms: Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000)]
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    subject: _Pattern = "*"


class TrialAsked(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to send a test; empty: every receiver."""

    receiver: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Alerts:
    """Serves ``/api/v1/alerts`` and what is below it."""

    def __init__(
        self,
        alerts: SqlAlerts,
        messages: SqlAlertMessages,
        audit: SqlAudit,
        settings: Callable[[], Settings],
        who: Who,
        new_id: Callable[[], str],
        clock: Clock = time.time,
    ) -> None:
        """``new_id``: of messages, never the same twice; ``clock``: seconds since the epoch."""
        self._alerts = alerts
        self._messages = messages
        self._audit = audit
        self._settings = settings
        self._who = who
        self._new_id = new_id
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/api/v1/alerts", refusing(self.now)),
            web.get("/api/v1/alerts/past", refusing(self.past)),
            web.get("/api/v1/alerts/rules", refusing(self.rules)),
            web.get("/api/v1/alerts/one/{alert}", refusing(self.one)),
            web.get("/api/v1/alerts/messages", refusing(self.messages)),
            web.post("/api/v1/alerts/test", refusing(self.test)),
            web.get("/api/v1/alerts/silences", refusing(self.silences)),
            web.post("/api/v1/alerts/silences", refusing(self.silence)),
            web.post("/api/v1/alerts/silences/{silence}/end", refusing(self.end_silence)),
        ]

    async def now(self, request: web.Request) -> web.Response:
        """What fires, newest first, and whether anybody looks."""
        asking, rules = asker(self._who, request), self._rules()
        alerts = self._settings().alerts
        looked_ms, now_ms = await self._alerts.looked_ms(), self._now_ms()
        firing = await self._alerts.firing(asking.only())
        states = await self._alerts.pending()
        told: shapes.AlertsNow = {
            "enabled": alerts.enabled,
            "looked_ms": looked_ms,
            "unwatched": alerts.enabled and is_unwatched(looked_ms, now_ms, alerts.every),
            "now_ms": now_ms,
            "firing": [alert_row(alert, rules) for alert in firing],
            "pending": [
                pending_row(state, rules[state.rule])
                for state in states
                if state.rule in rules and (asking.sees_all or state.user_name == asking.user)
            ],
        }
        return answer(request, told)

    async def past(self, request: web.Request) -> web.Response:
        """Those that began within a time, ``?rule=`` of one rule."""
        asking, rules = asker(self._who, request), self._rules()
        wanted, rows = span(request, self._clock, _SPAN_MS), page(request)
        found = await self._alerts.past(
            wanted.from_ms,
            wanted.until_ms,
            user=asking.only(),
            rule=request.query.get("rule") or None,
            start=rows.start,
            rows=rows.rows + 1,
        )
        told: shapes.AlertsPast = {
            "from_ms": wanted.from_ms,
            "until_ms": wanted.until_ms,
            "alerts": [alert_row(alert, rules) for alert in found[: rows.rows]],
            "more": len(found) > rows.rows,
        }
        return answer(request, told)

    async def one(self, request: web.Request) -> web.Response:
        """One of them; to whom it is not about it is not there."""
        asking = asker(self._who, request)
        alert = await self._alerts.one(request.match_info["alert"])
        if alert is None or asking.only() not in (None, alert.user_name):
            raise Refused(404, NO_ALERT)
        if alert.user_name:
            looked_at(request, f"alert:{alert.id}", alert.user_name)
        return answer(request, alert_row(alert, self._rules()))

    async def rules(self, request: web.Request) -> web.Response:
        """All rules; for admins with what they see."""
        asking = asker(self._who, request)
        sights = {one.rule: one for one in await self._alerts.rules()} if asking.sees_all else {}
        told: shapes.AlertRules = {
            "rules": [rule_row(rule, sights.get(name)) for name, rule in self._rules().items()]
        }
        return answer(request, told)

    async def messages(self, request: web.Request) -> web.Response:
        """What was sent to whom, and what was not."""
        admin(self._who, request)
        told: shapes.Messages = {
            "receivers": receivers_of(self._settings()),
            "messages": [message_row(one) for one in await self._alerts.messages()],
        }
        return answer(request, told)

    async def test(self, request: web.Request) -> web.Response:
        """Put a test message for a receiver, or for each, into the line."""
        asking = admin(self._who, request)
        wanted = (await posted_as(request, TrialAsked)).receiver
        known = receivers_of(self._settings())
        names = known if not wanted else [name for name in known if name == wanted]
        if not names:
            raise Refused(404, "The config file has no such receiver: see `alerts.webhooks`.")
        now_ms = self._now_ms()
        made = []
        for name in names:
            message = self._new_id()
            made.append(
                Message(
                    id=message,
                    receiver=name,
                    made_ms=now_ms,
                    next_ms=now_ms,
                    tries=0,
                    done_ms=None,
                    result="",
                    error="",
                    body=trial_body(message, name, asking.user, now_ms),
                )
            )
        await self._messages.add(made)
        await self._audit.note(asking.user, "alerts_test", "alerts", {"receivers": names})
        told: shapes.Queued = {"messages": [one.id for one in made]}
        return answer(request, told, status=202)

    async def silences(self, request: web.Request) -> web.Response:
        """Those in force, and those that were."""
        admin(self._who, request)
        found = await self._alerts.silences(also_over=True)
        told: shapes.Silences = {"silences": [silence_row(one) for one in found]}
        return answer(request, told)

    async def silence(self, request: web.Request) -> web.Response:
        """Tell nobody of such alerts until then."""
        asking = admin(self._who, request)
        wanted, now_ms = await posted_as(request, SilenceAsked), self._now_ms()
        if not now_ms < wanted.until_ms <= now_ms + LONGEST_SILENCE_MS:
            raise Refused(400, "`until_ms` must lie ahead, by 90 days at most.")
        if (problem := no_such_rule(wanted.rule, self._settings().alerts)) is not None:
            raise Refused(400, f"`rule`: {problem}.")
        made = await self._alerts.silence(
            wanted.rule, wanted.subject, wanted.until_ms, asking.user, wanted.why
        )
        detail = {"rule": made.rule, "until_ms": made.until_ms, "why": made.why}
        await self._audit.note(asking.user, "silence", made.subject, detail)
        return answer(request, silence_row(made), status=201)

    async def end_silence(self, request: web.Request) -> web.Response:
        """End it now."""
        asking = admin(self._who, request)
        ended = await self._alerts.end_silence(request.match_info["silence"])
        if ended is None:
            raise Refused(404, "No such silence is in force.")
        await self._audit.note(asking.user, "unsilence", ended.subject, {"rule": ended.rule})
        return answer(request, silence_row(ended))

    def _rules(self) -> Mapping[str, Rule]:
        return {rule.name: rule for rule in rules_of(self._settings().alerts)}

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def describe() -> Described:
    """For the document of the API."""
    rule = inquiry("rule", "Of this rule only.")
    alert = part("alert", "The alert's id.")
    base = "/api/v1/alerts"
    return Described(
        {
            base: {"get": read("Alerts that fire", shapes.AlertsNow)},
            f"{base}/past": {
                "get": read(
                    "Alerts that began within a time", shapes.AlertsPast, *SPAN, *PAGE, rule
                )
            },
            f"{base}/rules": {"get": read("Rules of alerts", shapes.AlertRules)},
            f"{base}/one/{{alert}}": {
                "get": read("One alert", shapes.AlertRow, alert, missing="No such alert.")
            },
            f"{base}/messages": {"get": read("Messages about alerts", shapes.Messages)},
            f"{base}/test": {"post": _post("Send a test", TrialAsked, shapes.Queued, "202")},
            f"{base}/silences": {
                "get": read("Silences", shapes.Silences),
                "post": _post("Silence alerts", SilenceAsked, shapes.SilenceRow, "201"),
            },
            f"{base}/silences/{{silence}}/end": {"post": _end()},
        },
        (
            shapes.AlertsNow,
            shapes.AlertsPast,
            shapes.AlertRules,
            shapes.AlertRow,
            shapes.Messages,
            shapes.Queued,
            shapes.Silences,
            shapes.SilenceRow,
            SilenceAsked,
            TrialAsked,
        ),
    )


def _post(summary: str, asked: type, told: type, status: str) -> Json:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref(asked)}}},
        "responses": {
            status: body("Done.", told),
            "400": body("The body is wrong; the text says how.", Failed),
            "403": body("The caller is no admin.", Failed),
            "404": body("There is no such receiver.", Failed),
            "413": body("The body is too long.", Failed),
            "503": body("The store does not answer.", Failed),
        },
    }


def _end() -> Json:
    return {
        "summary": "End a silence",
        "parameters": [part("silence", "The silence's id.")],
        "responses": {
            "200": body("It is over.", shapes.SilenceRow),
            "403": body("The caller is no admin.", Failed),
            "404": body("No such silence is in force.", Failed),
            "503": body("The store does not answer.", Failed),
        },
    }
