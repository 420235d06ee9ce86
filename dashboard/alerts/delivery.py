"""Sends the messages that wait, each to its receiver, and tries again what failed.

Run every few seconds as an RQ job; any number may run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from config.alerts import Alerts, MailReceiver, Webhook
from dashboard.alerts import mail, webhook
from dashboard.alerts.sending import GIVEN_UP_MS, Outcome, Sent, Unsent, next_try_ms
from store.alert_messages import SqlAlertMessages
from store.alert_records import Message

_log = structlog.get_logger()

#: A sender that was killed has its message for so long; then another one takes it.
_TAKEN_MS: Final = 60_000
#: Messages under way at a time.
_AT_ONCE: Final = 8


class Delivery:
    """Works through the line of messages."""

    def __init__(
        self, messages: SqlAlertMessages, alerts: Alerts, clock: Callable[[], float]
    ) -> None:
        """``clock``: seconds since the epoch."""
        self._messages = messages
        self._alerts = alerts
        self._clock = clock

    async def run(self) -> int:
        """Send what is due.

        Returns:
            How many were sent.
        """
        due = await self._messages.due(self._now_ms())
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(message: Message) -> bool:
            async with room:
                return await self._send(message)

        return sum(await asyncio.gather(*(one(message) for message in due)))

    async def _send(self, message: Message) -> bool:
        if not await self._messages.take(message, self._now_ms() + _TAKEN_MS):
            return False
        outcome = await deliver(
            self._alerts, message.receiver, message.id, message.body, self._clock
        )
        now_ms, tries = self._now_ms(), message.tries + 1
        told = {"message": message.id, "receiver": message.receiver, "tries": tries}
        if isinstance(outcome, Sent):
            await self._messages.finish(message.id, "sent", "", now_ms)
            _log.info("alerts_told", **told)
            return True
        if not outcome.again or now_ms - message.made_ms > GIVEN_UP_MS:
            await self._messages.finish(message.id, "given_up", outcome.why, now_ms)
            _log.error("alerts_not_told", why=outcome.why, **told)
        else:
            again_ms = next_try_ms(tries, now_ms)
            await self._messages.postpone(message.id, outcome.why, again_ms)
            _log.warning("alerts_told_later", why=outcome.why, **told)
        return False

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


async def deliver(
    alerts: Alerts, name: str, message_id: str, body: str, clock: Callable[[], float]
) -> Outcome:
    """Tell a receiver once.

    Args:
        alerts: the settings, with all receivers.
        name: of this one.
        message_id: the same at each try.
        body: JSON text.
        clock: seconds since the epoch.
    """
    told: tuple[Webhook | MailReceiver, ...] = (*alerts.webhooks, *alerts.mails)
    match next((one for one in told if one.name == name), None):
        case Webhook() as receiver:
            try:
                secret = await asyncio.to_thread(_secret, receiver)
            except (OSError, UnicodeError) as error:
                return Unsent(f"its secret_file cannot be read ({type(error).__name__})")
            return await webhook.post(receiver, secret, message_id, body, clock)
        case MailReceiver() as receiver if alerts.smtp.host is not None:
            return await mail.send(alerts.smtp, receiver, message_id, body)
        case _:
            return Unsent("the config file has no such receiver any more", again=False)


def _secret(receiver: Webhook) -> str:
    if receiver.secret_file is not None:
        return receiver.secret_file.read_text(encoding="utf-8").strip()
    return receiver.secret or ""
