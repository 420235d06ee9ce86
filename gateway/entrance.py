"""A key in a URL: ``/k/<key>/…`` or ``?token=``, and how it becomes a cookie.

A page load gets the cookie and is sent on to the URL without the key. A program's request
through a personal URL is answered at once, and given the cookie too: some clients open
their socket without the prefix, but with the cookies that they were given.
"""

from __future__ import annotations

from html import escape
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from gateway import browser_rules
from gateway.door import DOOR, Door
from gateway.keys import Holder
from gateway.page import page

PREFIX: Final = "/k/"
_OFFER: Final[web.RequestKey[Holder]] = web.RequestKey("offered session", Holder)


def split(url: URL) -> tuple[str, URL]:
    """Key and bare URL of a personal one."""
    key = url.path_safe.removeprefix(PREFIX).partition("/")[0]
    rest = url.raw_path.removeprefix(PREFIX).partition("/")[2]
    path = "/" + rest.lstrip("/")
    return key, URL.build(path=path, query_string=url.raw_query_string, encoded=True)


def as_if_bare(request: web.Request, bare: URL) -> web.Request:
    """The request as it would be without the prefix."""
    if hdrs.EXPECT not in request.headers:
        return request.clone(rel_url=bare)
    headers = CIMultiDict(
        (name, value.encode("utf-8", "replace").decode())  # a clone must be able to write them
        for name, value in request.headers.items()
        if name.lower() != "expect"  # answered once already
    )
    return request.clone(rel_url=bare, headers=headers)


async def enter(
    request: web.Request, door: Door, holder: Holder | None, target: URL
) -> web.StreamResponse:
    """Turn a key in a URL into a cookie, and the URL into one without the key.

    Whom another site's link brings is asked first: it may hold the key of somebody who
    wants to see what is done under it.
    """
    location = browser_rules.local_path(str(target))
    if holder is not None and browser_rules.comes_by_link(request.headers):
        session = await door.session_of(request)
        if session is None or session.user != holder.user:
            return _ask(request, holder)
    response = web.Response(status=302, headers={hdrs.LOCATION: location})
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    if holder is not None:
        await door.open_session(request, response, holder)
    return response


async def offer_session(request: web.Request, door: Door, holder: Holder) -> None:
    """Have the answer carry a session cookie, unless the client has one of that user.

    A browser's foreign page gets none: it could log its visitor in as somebody else.
    """
    headers = request.headers
    if browser_rules.comes_by_link(headers) or "Origin" in headers:
        return
    session = await door.session_of(request)
    if session is None or session.user != holder.user:
        request[_OFFER] = holder


async def hand_over(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Signal ``on_response_prepare``: the cookie that ``offer_session`` promised."""
    holder = request.get(_OFFER)
    if holder is not None and isinstance(request, web.Request):
        carrier = web.Response()
        await request.config_dict[DOOR].open_session(request, carrier, holder)
        for cookie in carrier.cookies.values():  # the response has made its headers of its own
            response.headers.add(hdrs.SET_COOKIE, cookie.OutputString())


def _ask(request: web.Request, holder: Holder) -> web.Response:
    here = escape(request.rel_url.raw_path_qs, quote=True)
    content = (
        f" <p>Another site's link wants to log you in here as <b>{escape(holder.user)}</b>.</p>\n"
        f' <a href="{here}">Go on as {escape(holder.user)}</a>'
    )
    # this page's own address holds the key
    return page("Go on?", content, action="/login", referrer="no-referrer")
