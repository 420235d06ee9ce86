"""Serves the built page; says how to build it where it is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from aiohttp import web

STATIC: Final = Path(__file__).parent / "static"
_ASSET: Final = re.compile(r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>vramgate</title>
<p>The dashboard's page has not been built in this checkout.
<p>Run <code>./run ui</code> once, then reload. Its data is served already:
<a href="api/v1/overview">overview as JSON</a>.
</html>
"""


class Pages:
    """``/`` and ``/assets/*`` out of one folder."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """Without its slash the page's relative URLs would miss: go where they are right."""
        raise web.HTTPFound(request.path.rpartition("/")[2] + "/")

    async def index(self, _request: web.Request) -> web.StreamResponse:
        """The page itself, asked for anew each time: it names the assets of its version."""
        page = self._folder / "index.html"
        if not page.is_file():
            return web.Response(text=_NOT_BUILT, content_type="text/html", status=503)
        return web.FileResponse(page, headers={**_HEADERS, "Cache-Control": "no-cache"})

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A file whose name changes with its content."""
        name = request.match_info["name"]
        path = self._folder / "assets" / name
        if not _ASSET.match(name) or not path.is_file():
            raise web.HTTPNotFound(text="No such file; reload the page")
        keep = "public, max-age=31536000, immutable"
        return web.FileResponse(path, headers={**_HEADERS, "Cache-Control": keep})
