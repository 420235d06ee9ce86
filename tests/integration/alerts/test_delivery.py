"""Messages reach real servers, signed and once; what fails is tried again and then given up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from config.alerts import Alerts
from dashboard.alerts.delivery import Delivery, deliver
from dashboard.alerts.message import trial_body
from dashboard.alerts.sending import Sent, Unsent
from store.alert_messages import SqlAlertMessages
from store.alert_records import Message
from store.alerts import SqlAlerts
from tests.integration.alerts.conftest import Clock
from tests.integration.alerts.servers import Hook, Post, hook_server, mail_server
from tests.integration.worker_agent.test_upkeep import certificate

KEY = b"a key of twenty-four byt"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with hook_server() as server:
        yield server


@pytest.fixture
def messages(engine: AsyncEngine) -> SqlAlertMessages:
    return SqlAlertMessages(engine)


def alerts_of(**settings: Any) -> Alerts:
    return Alerts.model_validate(settings)


def told(url: str, **more: Any) -> Alerts:
    return alerts_of(webhooks=[{"name": "ops", "url": url, "secret": SECRET, **more}])


def message(message_id: str, at_ms: int, receiver: str = "ops") -> Message:
    return Message(
        id=message_id, receiver=receiver, made_ms=at_ms, next_ms=at_ms, tries=0, done_ms=None,
        result="", error="", body=trial_body(message_id, receiver, "ada", at_ms),
    )  # fmt: skip


async def one(alerts: SqlAlerts) -> Message:
    (found,) = await alerts.messages()
    return found


async def test_a_webhook_is_told_once_and_can_check_who_said_so(
    messages: SqlAlertMessages, alerts: SqlAlerts, clock: Clock, hook: Hook
) -> None:
    await messages.add([message("m1", clock.ms)])
    delivery = Delivery(messages, told(hook.url), clock.seconds)
    assert await delivery.run() == 1
    assert await delivery.run() == 0
    ((headers, body),) = hook.got
    signed = f"m1.{clock.ms // 1000}.".encode() + body
    digest = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert headers["webhook-id"] == "m1"
    assert headers["webhook-timestamp"] == str(clock.ms // 1000)
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["status"] == "test"
    found = await one(alerts)
    assert (found.result, found.tries, found.error) == ("sent", 1, "")


async def test_what_fails_is_tried_again_later_under_the_same_id(
    messages: SqlAlertMessages, alerts: SqlAlerts, clock: Clock, hook: Hook
) -> None:
    hook.answers = [500, 429]
    await messages.add([message("m1", clock.ms)])
    delivery = Delivery(messages, told(hook.url), clock.seconds)
    assert await delivery.run() == 0
    found = await one(alerts)
    assert (found.result, found.error, found.next_ms) == ("", "answered 500", clock.ms + 10_000)
    clock.ms += 9_000
    assert await delivery.run() == 0
    assert len(hook.got) == 1
    clock.ms += 1_000
    assert await delivery.run() == 0
    assert (await one(alerts)).next_ms == clock.ms + 30_000
    clock.ms += 30_000
    assert await delivery.run() == 1
    assert [headers["webhook-id"] for headers, _ in hook.got] == ["m1"] * 3
    # each try is signed with its own time
    assert len({headers["webhook-signature"] for headers, _ in hook.got}) == 3


async def test_a_redirect_is_not_followed_and_a_refusal_is_final(
    messages: SqlAlertMessages, alerts: SqlAlerts, clock: Clock, hook: Hook
) -> None:
    for number, (status, words) in enumerate(((302, "redirects"), (401, "answered 401"))):
        hook.answers, hook.got = [status], []
        await messages.add([message(f"m{number}", clock.ms + number)])
        clock.ms += 10
        assert await Delivery(messages, told(hook.url), clock.seconds).run() == 0
        assert len(hook.got) == 1
        newest = (await alerts.messages())[0]
        assert newest.result == "given_up"
        assert words in newest.error


async def test_a_message_is_given_up_after_a_day(
    messages: SqlAlertMessages, alerts: SqlAlerts, clock: Clock
) -> None:
    await messages.add([message("m1", clock.ms)])
    delivery = Delivery(messages, told("http://127.0.0.1:9/x"), clock.seconds)
    await delivery.run()
    assert "no answer" in (await one(alerts)).error
    clock.ms += 86_400_001
    await delivery.run()
    assert (await one(alerts)).result == "given_up"


async def test_of_two_senders_one_has_a_message(
    messages: SqlAlertMessages, clock: Clock, hook: Hook
) -> None:
    await messages.add([message("m1", clock.ms)])
    (due,) = await messages.due(clock.ms)
    assert await messages.take(due, clock.ms + 60_000)
    assert not await messages.take(due, clock.ms + 60_000)
    assert await Delivery(messages, told(hook.url), clock.seconds).run() == 0
    clock.ms += 60_000  # the one that had it was killed
    assert await Delivery(messages, told(hook.url), clock.seconds).run() == 1


async def test_a_secret_of_a_file_signs_and_nothing_is_told_of_it_when_it_is_gone(
    messages: SqlAlertMessages, alerts: SqlAlerts, clock: Clock, hook: Hook, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    known = alerts_of(webhooks=[{"name": "ops", "url": hook.url, "secret_file": str(file)}])
    await messages.add([message("m1", clock.ms)])
    await Delivery(messages, known, clock.seconds).run()
    assert str(file) not in (await one(alerts)).error
    file.write_text(SECRET + "\n")
    clock.ms += 10_000
    assert await Delivery(messages, known, clock.seconds).run() == 1


async def test_a_receiver_that_is_gone_from_the_file_is_told_nothing(
    messages: SqlAlertMessages, alerts: SqlAlerts, clock: Clock
) -> None:
    await messages.add([message("m1", clock.ms, "former")])
    await Delivery(messages, alerts_of(), clock.seconds).run()
    assert (await one(alerts)).result == "given_up"


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data", "http://[::ffff:169.254.169.254]/latest",
     "http://[::ffff:a9fe:a9fe]/", "http://[fe80::1]/", "file:///etc/passwd", "http://u:p@hook/x"],
)  # fmt: skip
def test_addresses_that_are_none_for_messages_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"link-local|https://|signed"):
        told(url)


# ── e-mail ───────────────────────────────────────────────────────────────────

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificate with openssl"
)


def by_mail(post: Post, cert: Path | None, **more: Any) -> Alerts:
    security = "starttls" if cert is not None else "none"
    smtp = {"host": "127.0.0.1", "port": post.port, "sender": "vramgate@studio.example"}
    smtp |= {"security": security, **({"ca": str(cert)} if cert is not None else {}), **more}
    to = ["ada@studio.example", "ops@studio.example"]
    return alerts_of(smtp=smtp, mails=[{"name": "people", "to": to}])


async def send(known: Alerts, clock: Clock) -> Sent | Unsent:
    body = trial_body("m1", "people", "ada", clock.ms)
    return await deliver(known, "people", "m1", body, clock.seconds)


@needs_openssl
async def test_an_e_mail_goes_over_starttls_with_a_password(clock: Clock, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    async with mail_server(cert, key, password="of the server") as post:
        wrong = await send(by_mail(post, cert, user="vg", password="of another"), clock)
        assert isinstance(wrong, Unsent)
        assert "refuses user and password" in wrong.why
        assert await send(by_mail(post, cert, user="vg", password="of the server"), clock) == Sent()
        ((to, letter),) = post.letters
        assert post.encrypted
    assert to == ["ada@studio.example", "ops@studio.example"]
    assert letter["Subject"] == "[test] vramgate"
    assert letter["Message-ID"] == "<m1@studio.example>"
    text, attached = letter.iter_parts()
    assert "messages of vramgate arrive here" in text.get_content()
    assert json.loads(attached.get_content())["id"] == "m1"


@needs_openssl
async def test_a_server_that_nobody_trusts_or_that_offers_no_tls_gets_nothing(
    clock: Clock, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    async with mail_server(cert, key) as post:
        unsure = by_mail(post, cert)
        unsure = unsure.model_copy(update={"smtp": unsure.smtp.model_copy(update={"ca": None})})
        assert isinstance(await send(unsure, clock), Unsent)
        assert post.letters == []
    async with mail_server(None, None) as post:
        refused = await send(by_mail(post, cert), clock)
        assert refused == Unsent(
            "the server offers no STARTTLS; see alerts.smtp.security", again=False
        )
        assert post.letters == []


async def test_a_server_that_is_busy_is_tried_again_and_one_that_refuses_is_not(
    clock: Clock,
) -> None:
    async with mail_server(None, None) as post:
        post.refusal = "451 later"
        busy = await send(by_mail(post, None), clock)
        assert busy == Unsent("the server answered 451")
        post.refusal = "554 never"
        never = await send(by_mail(post, None), clock)
        assert never == Unsent("the server answered 554", again=False)
    away = await send(by_mail(post, None), clock)
    assert isinstance(away, Unsent)
    assert away.again
