"""``/openapi.json``: the description, for whoever may come in."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.json_body import encoded_reply

DESCRIPTION: Final[web.AppKey[bytes]] = web.AppKey("description", bytes)


def routes() -> list[web.RouteDef]:
    """The page's own route; no ComfyUI has it."""
    return [web.get("/openapi.json", show)]


async def show(request: web.Request) -> web.Response:
    """The same for everybody."""
    return encoded_reply(request.app[DESCRIPTION])
