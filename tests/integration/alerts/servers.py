"""Real servers that are told of alerts: one for webhooks, one for e-mail with STARTTLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Hook:
    """A webhook's server: what it got, and what it answers next."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    #: statuses of the next answers; then 204
    answers: list[int] = field(default_factory=list)


@asynccontextmanager
async def hook_server() -> AsyncIterator[Hook]:
    """Serve on a free port."""
    hook = Hook()

    async def handle(request: web.Request) -> web.Response:
        hook.got.append(
            ({name.lower(): value for name, value in request.headers.items()}, await request.read())
        )
        status = hook.answers.pop(0) if hook.answers else 204
        return web.Response(status=status, headers={"Location": f"{hook.url}/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/told"
    try:
        yield hook
    finally:
        await runner.cleanup()


@dataclass
class Post:
    """A mail server: what it took."""

    port: int = 0
    letters: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    #: whether the last one came over TLS
    encrypted: bool = False
    #: answers in place of taking
    refusal: str = ""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a letter."""
        if self.refusal:
            return self.refusal
        self.encrypted = session.ssl is not None
        content: Any = envelope.content
        letter: Any = message_from_bytes(content, policy=policy.default)
        self.letters.append((list(envelope.rcpt_tos), letter))
        return "250 taken"


@asynccontextmanager
async def mail_server(
    cert: Path | None, key: Path | None, *, password: str = ""
) -> AsyncIterator[Post]:
    """Serve on a free port, with STARTTLS where there is a certificate."""
    post = Post()
    context = None
    if cert is not None and key is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)

    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        known = isinstance(data, LoginPassword) and data.password.decode() == password
        return AuthResult(success=known, handled=False)

    def protocol() -> SMTP:
        return SMTP(
            post,
            hostname="127.0.0.1",
            tls_context=context,
            require_starttls=context is not None,
            authenticator=check if password else None,
            auth_required=bool(password),
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        post.port = server.sockets[0].getsockname()[1]
        yield post
    finally:
        server.close()
