"""Routes of newer servers about what node packs bring along; empty where no worker knows them."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from gateway.context import services
from gateway.json_body import json_reply

#: a SHA-256, as servers name subgraphs
_ID: Final = re.compile(r"[0-9a-f]{1,128}")


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [
        web.get("/global_subgraphs", global_subgraphs),
        web.get("/global_subgraphs/{id}", global_subgraph),
        web.get("/node_replacements", node_replacements),
    ]


async def global_subgraphs(request: web.Request) -> web.Response:
    """Subgraphs of node packs by id, without their data."""
    return json_reply(await services(request).info.first("global_subgraphs") or {})


async def global_subgraph(request: web.Request) -> web.Response:
    """One of them; null where there is none, as newer servers say it."""
    name = request.match_info["id"]
    if _ID.fullmatch(name) is None:
        return json_reply(None)
    return json_reply(await services(request).info.first(f"global_subgraphs/{name}"))


async def node_replacements(request: web.Request) -> web.Response:
    """Which nodes stand for others that are gone."""
    return json_reply(await services(request).info.first("node_replacements") or {})
