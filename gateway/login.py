"""The login page: a key in, a cookie out. A plain form, no script."""

from __future__ import annotations

import asyncio
from html import escape
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web

from gateway.attempts import ATTEMPTS
from gateway.auth import DOOR
from gateway.browser_rules import local_path
from gateway.errors import BadRequest
from gateway.keys import KeyKind
from gateway.session import COOKIE

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in · vramgate</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid;
   place-items: center; background: #16181d; color: #e6e8ec }}
 form {{ width: min(22rem, 90vw); display: grid; gap: .75rem }}
 input, button {{ font: inherit; padding: .6rem .8rem; border-radius: .4rem; border: 1px solid #444b57 }}
 input {{ background: #1f232b; color: inherit }} button {{ background: #3b82f6; color: #fff; border: 0 }}
 .wrong {{ color: #ff9b9b; margin: 0 }}
</style>
<form method="post" action="/login">
 <h1>vramgate</h1>
 {message}
 <label for="key">Your key</label>
 <input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
 <input type="hidden" name="next" value="{next}">
 <button>Log in</button>
</form>
"""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    # no-referrer would make browsers send the form with "Origin: null", a foreign one
    "Referrer-Policy": "same-origin",
}
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
    return _page(target)


async def log_in(request: web.Request) -> web.Response:
    """Check the key, set the cookie, go where the person wanted to go."""
    door, attempts = request.app[DOOR], request.app[ATTEMPTS]
    form = await _form(request)
    target = local_path(form.get("next", "/"))
    key, address = form.get("key", "").strip(), request.remote or ""
    holder = (await door.ring()).find(key, KeyKind.API)
    wait_s = (
        attempts.failed(address, key) if holder is None else attempts.passed(address, holder.stamp)
    )
    if wait_s:
        reply = _page(target, f"Too many wrong keys. Wait {wait_s} seconds and try again.", 429)
        reply.headers[hdrs.RETRY_AFTER] = str(wait_s)
        return reply
    if holder is None:
        log.info("login_refused", address=address)
        return _page(target, "That key is not valid. Ask your admin for a new one.", 401)
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
    """Drop the cookie."""
    response = web.Response(status=303, headers={hdrs.LOCATION: "/login"})
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
    return response


def _page(target: str, wrong: str = "", status: int = 200) -> web.Response:
    message = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    text = _PAGE.format(message=message, next=escape(target, quote=True))
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)
