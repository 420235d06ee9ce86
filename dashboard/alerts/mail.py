"""Tells people by e-mail, through the server of the config file."""

from __future__ import annotations

import asyncio
import json
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from config.alerts import MailReceiver, MailSecurity, Smtp
from dashboard.alerts.message import subject_of, text_of
from dashboard.alerts.sending import Outcome, Sent, Unsent

_TIMEOUT_S: Final = 15.0


async def send(smtp: Smtp, receiver: MailReceiver, message_id: str, body: str) -> Outcome:
    """Send it once.

    Args:
        smtp: the server.
        receiver: to whom.
        message_id: the same at each try, in ``Message-ID``: a server or reader drops the second.
        body: JSON text, as for webhooks.
    """
    try:
        letter = letter_of(smtp, receiver, message_id, body)
        # smtplib has no asyncio; a message is rare and short
        await asyncio.to_thread(_hand_over, smtp, receiver, letter)
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        return Unsent(f"the server takes no e-mail for them ({codes})", again=min(codes) < 500)
    except smtplib.SMTPAuthenticationError as error:
        return Unsent(f"the server refuses user and password ({error.smtp_code})")
    except smtplib.SMTPNotSupportedError:
        return Unsent("the server offers no STARTTLS; see alerts.smtp.security", again=False)
    except smtplib.SMTPResponseException as error:
        return Unsent(f"the server answered {error.smtp_code}", again=error.smtp_code < 500)
    except ssl.SSLError as error:
        return Unsent(f"no encrypted way to the server ({type(error).__name__})")
    except (smtplib.SMTPException, OSError) as error:
        return Unsent(f"the server does not answer ({type(error).__name__})")
    except ValueError as error:  # a password or an address that no e-mail can have
        return Unsent(f"it cannot be put into words of SMTP ({type(error).__name__})", again=False)
    return Sent()


def letter_of(smtp: Smtp, receiver: MailReceiver, message_id: str, body: str) -> EmailMessage:
    """The e-mail: text for people, and the same JSON as an attachment."""
    told = json.loads(body)
    letter = EmailMessage()
    letter["From"] = f"vramgate <{smtp.sender}>"
    letter["To"] = ", ".join(receiver.to)
    letter["Subject"] = subject_of(told)
    letter["Message-ID"] = f"<{message_id}@{smtp.sender.rpartition('@')[2]}>"
    letter["Date"] = format_datetime(datetime.fromtimestamp(told["at_ms"] / 1000, UTC))
    # so that nobody's holiday answers
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text_of(told))
    letter.add_attachment(
        body.encode(), maintype="application", subtype="json", filename="alerts.json"
    )
    return letter


def _hand_over(smtp: Smtp, receiver: MailReceiver, letter: EmailMessage) -> None:
    with _connected(smtp) as server:
        if smtp.user is not None:
            server.login(smtp.user, smtp.password or "")
        server.send_message(letter, from_addr=smtp.sender, to_addrs=list(receiver.to))


@contextmanager
def _connected(smtp: Smtp) -> Iterator[smtplib.SMTP]:
    host = smtp.host or ""
    trusted = ssl.create_default_context()
    if smtp.ca is not None:
        trusted.load_verify_locations(smtp.ca)
    if smtp.security is MailSecurity.TLS:
        with smtplib.SMTP_SSL(host, smtp.port, timeout=_TIMEOUT_S, context=trusted) as server:
            yield server
        return
    with smtplib.SMTP(host, smtp.port, timeout=_TIMEOUT_S) as server:
        if smtp.security is MailSecurity.STARTTLS:
            server.starttls(context=trusted)
        yield server
