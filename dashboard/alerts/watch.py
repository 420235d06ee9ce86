"""Looks at the rules again and again, and writes down what has changed.

It runs as a task of ``vramgate recorder``; where several run, one of them looks. What it knows is
in the store, so any other may go on with the next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from config.alert_rules import Rule, rules_of
from config.settings import Settings
from dashboard.alerts.duty import Duty
from dashboard.alerts.gather import Gatherer
from dashboard.alerts.grouping import Due, pace_of, plan
from dashboard.alerts.looks import look
from dashboard.alerts.machine import Stepped, step
from dashboard.alerts.message import body_of
from dashboard.alerts.muting import muted
from dashboard.alerts.receiver import receivers
from dashboard.alerts.sight import sights
from dashboard.history.consume import Sleep
from scheduler.ledger import Ledger, LedgerUnavailable
from store.alert_books import Look, SqlAlertBooks, Standing
from store.alert_records import Alert, Message

_log = structlog.get_logger()

#: Time between two looks that fail, at most.
_LONGEST_PAUSE_S: Final = 60.0
DUTY: Final = "alerts"


class Watch:
    """Looks at rules until cancelled."""

    def __init__(
        self,
        ledger: Ledger,
        engine: AsyncEngine,
        settings: Callable[[], Settings],
        new_id: Callable[[], str],
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``new_id``: never the same twice, in any process."""
        self._settings = settings
        self._gatherer = Gatherer(ledger, engine, settings)
        self._books = SqlAlertBooks(engine)
        self._duty = Duty(ledger, DUTY, new_id())
        self._new_id = new_id
        self._sleep = sleep

    async def run(self) -> None:
        """Look until cancelled. A ledger or store out of reach is waited for."""
        failures = 0
        try:
            while True:
                alerts = self._settings().alerts
                try:
                    if alerts.enabled and await self._duty.mine():
                        await self.look()
                    failures = 0
                except (SQLAlchemyError, OSError, LedgerUnavailable) as error:
                    failures += 1
                    # the class only: a statement's message would carry its values
                    _log.error("alerts_not_looked_at", error=type(error).__name__, times=failures)
                except Exception:
                    # a mistake in a rule must not end the recording beside it; that nobody looks
                    # any more is shown wherever alerts are
                    failures += 1
                    _log.exception("alerts_look_failed", times=failures)
                await self._sleep(min(_LONGEST_PAUSE_S, alerts.every * (1 + failures)))
        finally:
            await self._leave()

    async def look(self) -> bool:
        """Look once; False: somebody else has looked meanwhile, and nothing was written.

        Raises:
            LedgerUnavailable: nothing is known of the present.
            SQLAlchemyError: the store does not answer.
        """
        settings = self._settings()
        rules = rules_of(settings.alerts)
        scene = await self._gatherer.scene([rule for rule in rules if rule.enabled])
        standing = await self._books.standing(scene.now_ms)
        # the server's clock may have been set back
        now_ms = max(scene.now_ms, (standing.looked_ms or 0) + 1)
        looked = look(rules, scene)
        states = {state.key: state for state in standing.states}
        done = step(states, looked, now_ms, standing.looked_ms or now_ms)
        firing = await self._firing(done, standing, rules, now_ms)
        planned = plan(
            standing.groups,
            firing,
            receivers(settings.alerts),
            pace_of(settings.alerts),
            now_ms,
        )
        written = await self._books.write(
            Look(
                now_ms=now_ms,
                states=done.states.values(),
                alerts=firing,
                ended=done.ended,
                rules=sights(rules, looked, done, now_ms),
                groups=planned.groups,
                messages=await self._messages(planned.due, done, rules, settings, now_ms),
            ),
            standing.looked_ms,
        )
        if written:
            _tell(done, firing)
        else:
            _log.warning("alerts_looked_at_twice")
        return written

    async def _firing(
        self, done: Stepped, standing: Standing, rules: Sequence[Rule], now_ms: int
    ) -> list[Alert]:
        """All that fires, with why nobody is told of it, if so."""
        new = {alert.id: alert for alert in (*done.fired, *done.going)}
        # those without a new figure are as they were
        rest = [
            state.alert
            for state in done.states.values()
            if state.is_firing and state.alert not in new
        ]
        old = await self._books.named(rest)
        kinds = {rule.name: rule.kind for rule in rules}
        return muted([*new.values(), *old], standing.silences, kinds, now_ms)

    async def _messages(
        self,
        dues: Sequence[Due],
        done: Stepped,
        rules: Sequence[Rule],
        settings: Settings,
        now_ms: int,
    ) -> list[Message]:
        by_name = {rule.name: rule for rule in rules}
        over = await self._over(dues, done, now_ms)
        messages = []
        for due in dues:
            message_id = self._new_id()
            ended = [over[alert] for alert in due.ended if alert in over]
            url = settings.alerts.url or ""
            messages.append(
                Message(
                    id=message_id,
                    receiver=due.receiver,
                    made_ms=now_ms,
                    next_ms=now_ms,
                    tries=0,
                    done_ms=None,
                    result="",
                    error="",
                    body=body_of(due, message_id, ended, by_name, now_ms, url),
                )
            )
        return messages

    async def _over(self, dues: Sequence[Due], done: Stepped, now_ms: int) -> Mapping[str, Alert]:
        """Alerts that messages tell the end of."""
        named = await self._books.named({alert for due in dues for alert in due.ended})
        return {
            alert.id: replace(alert, ended_ms=alert.ended_ms or done.ended.get(alert.id, now_ms))
            for alert in named
        }

    async def _leave(self) -> None:
        try:
            await self._duty.leave()
        except LedgerUnavailable:
            _log.info("alerts_left", detail="the duty runs out by itself")


def _tell(done: Stepped, firing: Sequence[Alert]) -> None:
    """One line for each that began or ended."""
    began = {alert.id for alert in done.fired}
    for alert in firing:
        if alert.id in began:
            _log.warning(
                "alert",
                rule=alert.rule,
                severity=alert.severity,
                subject=alert.subject,
                value=round(alert.value, 3),
                limit=round(alert.threshold, 3),
                text=str(alert.detail.get("text", "")),
                muted=alert.muted,
                alert=alert.id,
            )
    for alert_id in done.ended:
        _log.info("alert_over", alert=alert_id)
