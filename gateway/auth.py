"""Who asks: one middleware in front of every route, sockets included.

Looked for in this order: personal URL prefix, a key in a header or ``?token=``
(``gateway.credentials``), a trusted proxy's word, session cookie, personal port, network
(``gateway.ambient``), and for sockets alone a ticket (``gateway.tickets``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from config.settings import Role
from gateway import browser_rules, entrance, frontend, metrics_token
from gateway.ambient import Known
from gateway.attempts import ATTEMPTS
from gateway.context import Credential, Identity, has_identity, identity, set_identity
from gateway.credentials import challenge, shown_key
from gateway.door import DOOR, Door
from gateway.errors import Forbidden, TooManyAttempts, Unauthorized
from gateway.keys import Holder, KeyKind
from gateway.revocation import OPEN_SOCKETS
from gateway.roles import refuse_viewer
from gateway.session import cookie_name
from gateway.source import parse_address, source
from gateway.tickets import LOSABLE
from gateway.waiting_room import SOCKET_PATHS, WAITING_ROOM, by_ticket

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOCAL: Final = Identity("local", "default", Role.ADMIN, Credential.OPEN)
#: whoever shows the metrics token: may read nothing but ``/metrics``
SCRAPER: Final = Identity("metrics", "default", Role.VIEWER, Credential.METRICS)
#: without identity: probes of a load balancer, and what agents call with their own token
_OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
_CLUSTER: Final = "/cluster/"
#: without identity, but for browsers: the rules for foreign pages hold
_LOGIN_PATHS: Final = frozenset({"/login", "/logout"})


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let in who may come in; see the module's docstring."""
    path = request.rel_url.raw_path
    if has_identity(request):  # comes from its personal URL
        return await _go_on(request, handler)
    if path in _OPEN_PATHS or path.startswith(_CLUSTER):
        return await handler(request)
    door = request.app[DOOR]
    door.check_host(source(request))
    if path in _LOGIN_PATHS:
        door.check_foreign(request)
        return await handler(request)
    if path.startswith(entrance.PREFIX):
        return await _enter_by_url(request, door)
    found = (LOCAL, None) if door.open else await _identify(request, door)
    if found is None:
        return await _by_ticket(request, handler)
    who, holder = found
    _admit(request, door, who)
    if who.credential is Credential.TOKEN and holder is not None and _opens_page(request):
        target = request.rel_url.without_query_params("token")
        return await entrance.enter(request, door, holder, target)
    return await _go_on(request, handler)


async def _go_on(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serve a known user; a socket only for as long as the user is known (``revocation``)."""
    if not browser_rules.is_socket(request.headers) or request.rel_url.raw_path in SOCKET_PATHS:
        return await handler(request)
    with request.app[OPEN_SOCKETS].during(request, identity(request)):
        return await handler(request)


def _admit(request: web.Request, door: Door, who: Identity) -> None:
    """Judge what a known user may not do here, and put the identity on the request.

    Raises:
        Forbidden: another site's page asks, or a viewer wants to change something.
        WrongHost: the place alone says who this is, and the host name is a strange one.
    """
    if who.credential.place:
        door.check_host(source(request), ambient=True)
    if who.credential.ambient:
        door.check_foreign(request)
    refuse_viewer(who.role, request.method, request.rel_url.path)
    set_identity(request, who)


async def _identify(request: web.Request, door: Door) -> tuple[Identity, Holder | None] | None:
    """Who this is; None: it says nothing. Raises Unauthorized, Forbidden."""
    shown = shown_key(request)
    if shown is not None:
        if request.rel_url.raw_path == metrics_token.PATH and metrics_token.opens(
            door.settings().metrics, shown.key
        ):
            return SCRAPER, None
        holder = (await door.ring()).find(shown.key, KeyKind.API)
        if holder is not None and shown.user not in (None, holder.user):
            holder = None
        _count(request, shown.key, holder)
        if holder is None:
            raise Unauthorized(
                "This key is not valid; ask your admin for a new one.",
                headers=challenge(request.headers),
            )
        if shown.credential in LOSABLE:
            await request.app[WAITING_ROOM].show(source(request).address)
        return _as_identity(holder, shown.credential), holder
    told = await _told_by_proxy(request, door)
    if told is not None:
        return _as_identity(told, Credential.PROXY), None
    session = await door.session_of(request)
    if session is not None:
        return _as_identity(session, Credential.COOKIE), session
    placed = await _placed(request, door)
    if placed is None:
        _count_cookie(request)
        return None
    return placed, None


async def _told_by_proxy(request: web.Request, door: Door) -> Known | None:
    """The user that a trusted proxy names; None: it names none, or is not trusted.

    Raises:
        Forbidden: it names somebody who may not come in.
    """
    header = door.settings().auth.proxy_header
    if header is None or not source(request).proxied:
        return None
    names = request.headers.getall(header, [])
    if not any(names):
        return None
    known = (await door.ambient()).named(names[0].strip()) if len(names) == 1 else None
    if known is None:
        raise Forbidden(
            "Your login is known to the proxy, but not here; ask your admin for an account."
        )
    return known


async def _placed(request: web.Request, door: Door) -> Identity | None:
    """Who this is by port or network, or None."""
    ambient, at = await door.ambient(), source(request)
    known = ambient.at_port(_own_port(request))
    if known is not None:
        return _as_identity(known, Credential.PORT)
    known = ambient.at_address(parse_address(at.address)) if at.direct else None
    return None if known is None else _as_identity(known, Credential.NETWORK)


def _own_port(request: web.Request) -> int:
    """The port of ours that the request came to; 0: none."""
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return int(name[1]) if isinstance(name, tuple) else 0


def _count_cookie(request: web.Request) -> None:
    """A cookie that is no session (any more) is a wrong key."""
    cookie = request.cookies.get(cookie_name(secure=source(request).secure))
    # a person is sent to the login page however often
    if cookie is not None and not _opens_page(request):
        _count(request, cookie, None)


def _count(request: web.Request, key: str, holder: Holder | None) -> None:
    """Remember that this address has shown this key.

    Raises:
        TooManyAttempts: it has shown too many wrong ones; this one is not judged.
    """
    attempts, address = request.app[ATTEMPTS], source(request).address
    if holder is None:
        wait_s = attempts.failed(address, key)
    else:
        wait_s = attempts.passed(address, holder.stamp)
    if wait_s:
        raise TooManyAttempts(
            f"Too many wrong keys from this address; wait {wait_s} s, then show the right one.",
            headers={hdrs.RETRY_AFTER: str(wait_s)},
        )


def _as_identity(found: Holder | Known, credential: Credential) -> Identity:
    return Identity(found.user, found.group, found.role, credential, found.stamp)


async def _by_ticket(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Without a credential: a socket may have a ticket, or wait for one; others are turned away.

    Only the socket's own handler goes without an identity, and the UI's web app manifest.
    """
    if frontend.is_manifest(request):
        return await frontend.serve(request)
    ticket = await request.app[WAITING_ROOM].judge(request)
    if ticket is False:
        return _turn_away(request)
    if ticket is not True:
        set_identity(request, by_ticket(ticket))
    return await handler(request)


def _opens_page(request: web.Request) -> bool:
    return browser_rules.is_navigation(request.method, request.headers)


def _turn_away(request: web.Request) -> web.StreamResponse:
    if _opens_page(request):
        target = "/login?next=" + quote(request.rel_url.raw_path, safe="/%")
        return web.Response(status=302, headers={hdrs.LOCATION: target})
    raise Unauthorized(
        "A key is needed: Authorization: Bearer <key>, X-API-Key, ?token=, "
        "your personal URL, or /login in a browser.",
        headers=challenge(request.headers),
    )


async def _enter_by_url(request: web.Request, door: Door) -> web.StreamResponse:
    """``/k/<key>/rest``: known by the key, then routed as ``/rest``."""
    key, bare = entrance.split(request.rel_url)
    holder = None if door.open else (await door.ring()).find(key, KeyKind.URL)
    if not door.open:
        _count(request, key, holder)
    if holder is None and not door.open:
        raise Unauthorized("This personal URL is not valid (any more); ask your admin for one.")
    who = LOCAL if holder is None else _as_identity(holder, Credential.URL)
    if _opens_page(request):
        return await entrance.enter(request, door, holder, bare)
    if holder is not None:
        await request.app[WAITING_ROOM].show(source(request).address)
        await entrance.offer_session(request, door, holder)
    inner = entrance.as_if_bare(request, bare)
    _admit(inner, door, who)
    # the one way to route a rewritten path that keeps middlewares and sockets working
    return await request.app._handle(inner)
