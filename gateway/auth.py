"""Who asks: one middleware in front of every route, sockets included.

A credential is looked for in this order: personal URL prefix, ``Authorization`` (Bearer
or Basic), ``X-API-Key``, ``?token=``, session cookie. The first that is present decides;
a wrong one is refused, never skipped. What a client says of itself (``comfy-user``) is
not read at all.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import hdrs, web
from yarl import URL

from config.settings import AuthMode, Role, Settings
from gateway import browser_rules
from gateway.attempts import ATTEMPTS
from gateway.context import Credential, Identity, has_identity, set_identity
from gateway.effective import EffectiveSettings
from gateway.errors import Forbidden, TooManyAttempts, Unauthorized, WrongHost
from gateway.keys import Holder, KeyKind, KeyRing
from gateway.session import COOKIE, Sessions
from scheduler.ledger import Ledger, LedgerUnavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOCAL: Final = Identity("local", "default", Role.ADMIN, Credential.OPEN)
#: without identity: probes of a load balancer, and what agents call with their own token
_OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
_CLUSTER: Final = "/cluster/"
#: without identity, but for browsers: the rules for foreign pages hold
_LOGIN_PATHS: Final = frozenset({"/login", "/logout"})
_PERSONAL: Final = "/k/"
#: overrides are pushed (``refresh_overrides``); this is for a push that got lost
_OVERRIDES_MAX_AGE_S: Final = 10.0
log = structlog.get_logger()


class Door:
    """Knows keys and sessions, under the settings and overrides now in force."""

    def __init__(
        self, settings: Callable[[], Settings], ledger: Ledger, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self._ledger = ledger
        self._clock = clock
        self._ring: KeyRing | None = None
        self._ring_of: Settings | None = None
        self._overrides: Mapping[str, str] | None = None
        self._revision = -1
        self._read_at = 0.0
        self._sessions: Sessions | None = None
        self._reading = asyncio.Lock()

    @property
    def open(self) -> bool:
        """True: no keys are asked for."""
        return self.settings().auth.mode is AuthMode.OPEN

    async def reload(self) -> None:
        """Read the overrides; the ring is rebuilt where their revision changed.

        Raises:
            LedgerUnavailable: nothing is known about new revocations.
        """
        revision, overrides = await self._ledger.overrides()
        self._read_at = self._clock()
        if revision != self._revision or self._overrides is None:
            self._revision, self._overrides = revision, dict(overrides)
            self._ring = None
            if isinstance(self.settings, EffectiveSettings):
                self.settings.apply(self._overrides)
            log.info("overrides_loaded", revision=revision)

    async def ring(self) -> KeyRing:
        """The valid keys.

        Raises:
            LedgerUnavailable: overrides were never read, so a revoked key could pass.
        """
        if self._overrides is None or self._clock() - self._read_at > _OVERRIDES_MAX_AGE_S:
            await self._catch_up()
        settings = self.settings()
        if self._ring is None or self._ring_of is not settings:
            self._ring = KeyRing(settings.users, self._overrides or {})
            self._ring_of = settings
        return self._ring

    async def sessions(self) -> Sessions:
        """The session cookies' signer; its secret is shared by all gateways.

        Raises:
            LedgerUnavailable: the secret was never read.
        """
        if self._sessions is None:
            secret = await self._ledger.secret("cookie", secrets.token_hex(32))
            self._sessions = Sessions(secret.encode(), self._clock)
        return self._sessions

    async def _catch_up(self) -> None:
        async with self._reading:
            if self._overrides is not None:
                if self._clock() - self._read_at <= _OVERRIDES_MAX_AGE_S:
                    return
                self._read_at = self._clock()
            try:
                await self.reload()
            except LedgerUnavailable:
                if self._overrides is None:
                    raise
                log.warning("overrides_stale", revision=self._revision)

    async def open_session(
        self, request: web.Request, response: web.StreamResponse, holder: Holder
    ) -> None:
        """Put a session cookie for this key on a response."""
        days = self.settings().auth.cookie_days
        response.set_cookie(
            COOKIE,
            (await self.sessions()).issue(holder, days),
            max_age=int(days * 86400),
            path="/",
            httponly=True,
            samesite="Lax",
            # by the connection itself: anybody can send X-Forwarded-Proto
            secure=request.secure,
        )

    def check_host(self, request: web.Request) -> None:
        """Refuse names that are not ours (DNS rebinding).

        Raises:
            WrongHost: the request names another host.
        """
        settings = self.settings().gateway
        host = request.headers.get(hdrs.HOST, "")
        if not browser_rules.host_allowed(
            host,
            listening=settings.host,
            allowed=settings.allowed_hosts,
            any_host=not self.open,
        ):
            raise WrongHost(
                "This gateway does not answer to that host name; "
                "the admin can add it to gateway.allowed_hosts."
            )

    def check_foreign(self, request: web.Request, method: str | None = None) -> None:
        """Refuse what another site's page asks for on an ambient credential.

        Raises:
            Forbidden: it is another site's page.
        """
        allowed = self.settings().gateway.allowed_hosts
        if browser_rules.refuses(method or request.method, request.headers, allowed):
            raise Forbidden("Another site's page may not do this here; open the gateway itself.")


DOOR: Final[web.AppKey[Door]] = web.AppKey("door", Door)


async def refresh_overrides(app: web.Application) -> None:
    """An admin changed keys (``EventKind.OVERRIDES``): read them again."""
    await app[DOOR].reload()


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who may come in; see the module's docstring."""
    path = request.rel_url.raw_path
    if has_identity(request):  # comes from its personal URL
        return await handler(request)
    if path in _OPEN_PATHS or path.startswith(_CLUSTER):
        return await handler(request)
    door = request.app[DOOR]
    door.check_host(request)
    if path in _LOGIN_PATHS:
        door.check_foreign(request, "POST" if path == "/logout" else None)
        return await handler(request)
    if path.startswith(_PERSONAL):
        return await _enter_by_url(request, door)
    found = (LOCAL, None) if door.open else await _identify(request, door)
    if found is None:
        return _turn_away(request)
    who, holder = found
    set_identity(request, who)
    if who.ambient or _is_basic(request):  # browsers repeat Basic by themselves, like a cookie
        door.check_foreign(request)
    if who.credential is Credential.TOKEN and holder is not None and _opens_page(request):
        return await _redirect(request, door, holder, request.rel_url.without_query_params("token"))
    return await handler(request)


async def _identify(request: web.Request, door: Door) -> tuple[Identity, Holder | None] | None:
    """Who this is by header, token or cookie; None: it says nothing. Raises Unauthorized."""
    shown = _shown_key(request)
    if shown is not None:
        key, user, credential = shown
        holder = (await door.ring()).find(key, KeyKind.API)
        if holder is not None and user not in (None, holder.user):
            holder = None
        _count(request, key, holder)
        if holder is None:
            raise Unauthorized(
                "This key is not valid; ask your admin for a new one.", headers=_challenge(request)
            )
        return _as_identity(holder, credential), holder
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        return None
    holder = (await door.sessions()).read(cookie, await door.ring())
    if holder is not None:
        return _as_identity(holder, Credential.COOKIE), holder  # signed: nobody guesses that
    if not _opens_page(request):  # a person is sent to the login page however often
        _count(request, cookie, None)
    return None


def _count(request: web.Request, key: str, holder: Holder | None) -> None:
    """Remember that this address has shown this key.

    Raises:
        TooManyAttempts: it has shown too many wrong ones; this one is not judged.
    """
    attempts, address = request.app[ATTEMPTS], request.remote or ""
    if holder is None:
        wait_s = attempts.failed(address, key)
    else:
        wait_s = attempts.passed(address, holder.stamp)
    if wait_s:
        raise TooManyAttempts(
            f"Too many wrong keys from this address; wait {wait_s} s, then show the right one.",
            headers={hdrs.RETRY_AFTER: str(wait_s)},
        )


def _shown_key(request: web.Request) -> tuple[str, str | None, Credential] | None:
    """Key, user name where one is claimed, and how it was sent."""
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return value.strip(), None, Credential.HEADER
        if scheme.lower() == "basic":
            user, key = _basic(request, value)
            return key, user, Credential.HEADER
        raise Unauthorized(
            "Authorization must be Bearer <key> or Basic <user:key>.", headers=_challenge(request)
        )
    api_key = request.headers.get("X-API-Key")
    if api_key is not None:
        return api_key.strip(), None, Credential.HEADER
    token = request.rel_url.query.get("token")
    return None if token is None else (token, None, Credential.TOKEN)


def _is_basic(request: web.Request) -> bool:
    return request.headers.get(hdrs.AUTHORIZATION, "")[:6].lower() == "basic "


def _challenge(request: web.Request) -> dict[str, str]:
    """Basic is offered to programs that wait for it, not to browsers: they would pop up a box."""
    browser = request.headers.get(hdrs.USER_AGENT, "").startswith("Mozilla/")
    basic = "" if browser else ', Basic realm="vramgate"'
    return {hdrs.WWW_AUTHENTICATE: f'Bearer realm="vramgate"{basic}'}


def _basic(request: web.Request, value: str) -> tuple[str, str]:
    try:
        user, colon, key = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeError):
        user, colon, key = "", "", ""
    if not colon:
        raise Unauthorized("Basic authorization must be user:key.", headers=_challenge(request))
    return user, key


def _as_identity(holder: Holder, credential: Credential) -> Identity:
    return Identity(holder.user, holder.group, holder.role, credential, holder.stamp)


def _opens_page(request: web.Request) -> bool:
    return browser_rules.is_navigation(request.method, request.headers)


def _turn_away(request: web.Request) -> web.StreamResponse:
    if _opens_page(request):
        target = "/login?next=" + quote(request.rel_url.raw_path, safe="/%")
        return web.Response(status=302, headers={hdrs.LOCATION: target})
    raise Unauthorized(
        "A key is needed: Authorization: Bearer <key>, X-API-Key, ?token=, "
        "your personal URL, or /login in a browser.",
        headers=_challenge(request),
    )


async def _enter_by_url(request: web.Request, door: Door) -> web.StreamResponse:
    """``/k/<key>/rest``: known by the key, then routed as ``/rest``."""
    key = request.rel_url.path_safe.removeprefix(_PERSONAL).partition("/")[0]
    holder = None if door.open else (await door.ring()).find(key, KeyKind.URL)
    if not door.open:
        _count(request, key, holder)
    if holder is None and not door.open:
        raise Unauthorized("This personal URL is not valid (any more); ask your admin for one.")
    raw_rest = request.rel_url.raw_path.removeprefix(_PERSONAL).partition("/")[2]
    bare = URL.build(
        path="/" + raw_rest.lstrip("/"), query_string=request.rel_url.raw_query_string, encoded=True
    )
    who = LOCAL if holder is None else _as_identity(holder, Credential.URL)
    if who.ambient:
        door.check_foreign(request)
    if _opens_page(request):
        return await _redirect(request, door, holder, bare)
    headers = request.headers.copy()
    headers.popall(hdrs.EXPECT, None)  # answered once already
    inner = request.clone(rel_url=bare, headers=headers)
    set_identity(inner, who)
    # the one way to route a rewritten path that keeps middlewares and sockets working
    return await request.app._handle(inner)


async def _redirect(
    request: web.Request, door: Door, holder: Holder | None, target: URL
) -> web.StreamResponse:
    """Turn a key in a URL into a cookie, and the URL into one without the key."""
    location = browser_rules.local_path(str(target))
    response = web.Response(status=302, headers={hdrs.LOCATION: location})
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    if holder is not None:
        await door.open_session(request, response, holder)
    return response
