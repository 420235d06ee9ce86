"""The login page: a key in, a cookie out. A plain form, no script."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web

from gateway.attempts import ATTEMPTS
from gateway.browser_rules import local_path
from gateway.door import DOOR
from gateway.errors import BadRequest
from gateway.keys import KeyKind
from gateway.page import page
from gateway.session import cookie_name
from gateway.source import source

#: a key and a path, with room to spare
_MOST_BYTES: Final = 64 * 1024
log = structlog.get_logger()


def routes() -> list[web.RouteDef]:
    """``/login`` and ``/logout``."""
    return [
        web.get("/login", show),
        web.post("/login", log_in),
        web.get("/logout", log_out),
        web.post("/logout", log_out),
    ]


async def show(request: web.Request) -> web.Response:
    """The form; who needs no key goes on at once."""
    target = local_path(request.query.get("next", "/"))
    if request.app[DOOR].open:
        return web.Response(status=302, headers={hdrs.LOCATION: target})
    return _form_page(target)


async def log_in(request: web.Request) -> web.Response:
    """Check the key, set the cookie, go where the person wanted to go."""
    door, attempts = request.app[DOOR], request.app[ATTEMPTS]
    form = await _form(request)
    target = local_path(form.get("next", "/"))
    key, address = form.get("key", "").strip(), source(request).address
    holder = (await door.ring()).find(key, KeyKind.API)
    wait_s = (
        attempts.failed(address, key) if holder is None else attempts.passed(address, holder.stamp)
    )
    if wait_s:
        reply = _form_page(
            target, f"Too many wrong keys. Wait {wait_s} seconds and try again.", 429
        )
        reply.headers[hdrs.RETRY_AFTER] = str(wait_s)
        return reply
    if holder is None:
        log.info("login_refused", address=address)
        return _form_page(target, "That key is not valid. Ask your admin for a new one.", 401)
    response = web.Response(
        status=303, headers={hdrs.LOCATION: target, "Cache-Control": "no-store"}
    )
    await door.open_session(request, response, holder)
    log.info("login", user=holder.user)
    return response


async def _form(request: web.Request) -> dict[str, str]:
    """The page's form. Anybody may send one, so it is read no further than it can be long.

    Raises:
        BadRequest: it is not the page's own.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise BadRequest("Log in with the form on this page.")
    try:
        await request.content.readexactly(_MOST_BYTES)
    except asyncio.IncompleteReadError as end:
        return dict(parse_qsl(end.partial.decode("utf-8", "replace")))
    raise BadRequest("The form is too long; send a key and nothing else.")


async def log_out(request: web.Request) -> web.Response:
    """Drop the cookie.

    A GET does so only where the browser says that the person asked here: any page can make
    a browser fetch this.
    """
    if request.method != "POST" and request.headers.get("Sec-Fetch-Site") not in (
        "same-origin",
        "none",
    ):
        return page("Log out", " <button>Log out</button>", action="/logout")
    response = web.Response(status=303, headers={hdrs.LOCATION: "/login"})
    secure = source(request).secure
    response.del_cookie(
        cookie_name(secure=secure), path="/", httponly=True, samesite="Lax", secure=secure
    )
    return response


def _form_page(target: str, wrong: str = "", status: int = 200) -> web.Response:
    message = f' <p class="wrong" role="alert">{escape(wrong)}</p>\n' if wrong else ""
    content = f"""{message} <label for="key">Your key</label>
 <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
 <input type="hidden" name="next" value="{escape(target, quote=True)}">
 <button>Log in</button>"""
    return page("Log in", content, action="/login", status=status)
