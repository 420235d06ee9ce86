"""The few pages of our own: a form or a link, no script, never inside a frame."""

from __future__ import annotations

from typing import Final

from aiohttp import web

_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} · vramgate</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid;
   place-items: center; background: #16181d; color: #e6e8ec }}
 form {{ width: min(22rem, 90vw); display: grid; gap: .75rem }}
 input, button, a {{ font: inherit; padding: .6rem .8rem; border-radius: .4rem; border: 1px solid #444b57 }}
 input {{ background: #1f232b; color: inherit }}
 button, a {{ background: #3b82f6; color: #fff; border: 0; text-align: center; text-decoration: none }}
 p {{ margin: 0 }} .wrong {{ color: #ff9b9b }}
</style>
<form method="post" action="{action}">
 <h1>vramgate</h1>
{content}
</form>
"""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
}
#: no-referrer would make browsers send a form with "Origin: null", a foreign one
_REFERRER: Final = "same-origin"


def page(
    title: str, content: str, *, action: str, status: int = 200, referrer: str = _REFERRER
) -> web.Response:
    """A page around what a form holds.

    Args:
        title: plain words.
        content: HTML; whatever a client sent is escaped in it already.
        action: path that the form is posted to.
        status: of the answer.
        referrer: the page's ``Referrer-Policy``.
    """
    text = _PAGE.format(title=title, content=content, action=action)
    headers = {**_HEADERS, "Referrer-Policy": referrer}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)
