"""Knows keys, sessions and places, under the settings and overrides now in force."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from aiohttp import web

from config.settings import AuthMode, Role, Settings
from gateway import browser_rules
from gateway.ambient import Ambient
from gateway.context import Identity
from gateway.effective import EffectiveSettings
from gateway.errors import Forbidden, WrongHost
from gateway.keys import Holder, KeyRing
from gateway.session import Sessions, cookie_name, cookies_of
from gateway.source import Source, source
from scheduler.ledger import Ledger, LedgerUnavailable

#: overrides are pushed (``refresh_overrides``); this is for a push that got lost
_OVERRIDES_MAX_AGE_S: Final = 10.0
log = structlog.get_logger()


class Door:
    """Who may come in, as file and overrides say now.

    Args:
        settings: the settings now in force.
        ledger: holds overrides and the cookies' secret.
        clock: seconds since the epoch.
    """

    def __init__(
        self, settings: Callable[[], Settings], ledger: Ledger, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self._ledger = ledger
        self._clock = clock
        self._ring = KeyRing((), {})
        self._ambient = Ambient(Settings(), {})
        self._made_of: Settings | None = None
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
        """Read the overrides; ring and places are rebuilt where their revision changed.

        Raises:
            LedgerUnavailable: nothing is known about new revocations.
        """
        revision, overrides = await self._ledger.overrides()
        self._read_at = self._clock()
        if revision != self._revision or self._overrides is None:
            self._revision, self._overrides = revision, dict(overrides)
            self._made_of = None
            if isinstance(self.settings, EffectiveSettings):
                self.settings.apply(self._overrides)
            log.info("overrides_loaded", revision=revision)

    async def ring(self) -> KeyRing:
        """The valid keys.

        Raises:
            LedgerUnavailable: overrides were never read, so a revoked key could pass.
        """
        await self._make()
        return self._ring

    async def ambient(self) -> Ambient:
        """Who is known by port, network or proxy.

        Raises:
            LedgerUnavailable: overrides were never read, so a revoked user could pass.
        """
        await self._make()
        return self._ambient

    async def holds(self, user: str, stamp: str) -> bool:
        """Whether what let this user in still would.

        Raises:
            LedgerUnavailable: overrides were never read.
        """
        await self._make()
        return self._ring.holds(user, stamp) or self._ambient.holds(user, stamp)

    async def stands(self, who: Identity) -> bool:
        """Whether an identity would be made again as it is, its role included.

        Raises:
            LedgerUnavailable: overrides were never read.
        """
        user = self.settings().user(who.user)
        role = Role.ARTIST if user is None else user.role
        return role is who.role and await self.holds(who.user, who.key)

    async def sessions(self) -> Sessions:
        """The session cookies' signer; its secret is shared by all gateways.

        Raises:
            LedgerUnavailable: the secret was never read.
        """
        if self._sessions is None:
            secret = await self._ledger.secret("cookie", secrets.token_hex(32))
            self._sessions = Sessions(secret.encode(), self._clock)
        return self._sessions

    async def session_of(self, request: web.Request) -> Holder | None:
        """Whose session cookie a request brings, or None.

        Another host of the same domain can plant one beside ours: sessions of two users are
        nobody's, so that nobody works under a name that was slipped in.

        Raises:
            LedgerUnavailable: secret or overrides were never read.
        """
        cookies = cookies_of(request, cookie_name(secure=source(request).secure))
        if not cookies:
            return None
        sessions, ring = await self.sessions(), await self.ring()
        found = [one for one in (sessions.read(cookie, ring) for cookie in cookies) if one]
        if len({holder.user for holder in found}) > 1:
            log.warning("sessions_of_two_users", address=source(request).address)
            return None
        return found[0] if found else None

    async def open_session(
        self, request: web.Request, response: web.StreamResponse, holder: Holder
    ) -> None:
        """Put a session cookie for this key on a response."""
        days = self.settings().auth.cookie_days
        secure = source(request).secure
        response.set_cookie(
            cookie_name(secure=secure),
            (await self.sessions()).issue(holder, days),
            max_age=int(days * 86400),
            path="/",
            httponly=True,
            samesite="Lax",
            secure=secure,
        )

    def check_host(self, at: Source, *, ambient: bool = False) -> None:
        """Refuse names that are not ours (DNS rebinding).

        Args:
            at: where the request comes from.
            ambient: a name that was bound to our address would be let in, so it must be known.

        Raises:
            WrongHost: the request names another host.
        """
        settings = self.settings().gateway
        good = browser_rules.host_allowed(
            at.host,
            listening=settings.host,
            allowed=settings.allowed_hosts,
            any_host=not self.open and not ambient,
        )
        # an address is no name: nobody can bind it to another one
        if not good and not (ambient and browser_rules.is_address(at.host)):
            raise WrongHost(
                "This gateway does not answer to that host name; "
                "the admin can add it to gateway.allowed_hosts."
            )

    def check_foreign(self, request: web.Request, method: str | None = None) -> None:
        """Refuse what another site's page asks for on an ambient credential.

        Raises:
            Forbidden: it is another site's page.
        """
        if browser_rules.refuses(
            method or request.method,
            request.headers,
            source(request).host,
            self.settings().gateway.allowed_hosts,
        ):
            raise Forbidden("Another site's page may not do this here; open the gateway itself.")

    async def _make(self) -> None:
        """Keys and places of now."""
        if self._overrides is None or self._clock() - self._read_at > _OVERRIDES_MAX_AGE_S:
            await self._catch_up()
        settings = self.settings()
        if self._made_of is not settings:
            self._ring = KeyRing(settings.users, self._overrides or {})
            self._ambient = Ambient(settings, self._overrides or {})
            self._made_of = settings

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


DOOR: Final[web.AppKey[Door]] = web.AppKey("door", Door)


async def refresh_overrides(app: web.Application) -> None:
    """An admin changed keys (``EventKind.OVERRIDES``): read them again."""
    await app[DOOR].reload()
