"""``/vramgate/files``: what a user has uploaded, how much room that takes, and a way to drop it.

ComfyUI has no route that deletes a file; a quota without one would be a dead end.
"""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web

from config.settings import Role
from gateway.context import identity, services
from gateway.errors import BadRequest, Forbidden
from gateway.json_body import json_reply
from gateway.names import FILE_TYPES, BadName, Escape, clean_path
from gateway.room import upload_quota


class Upload(TypedDict):
    """A file that the caller has sent."""

    type: str
    path: str
    size_bytes: int


class Uploads(TypedDict):
    """All of them, and the room they take; no quota: null."""

    used_bytes: int
    quota_bytes: int | None
    files: list[Upload]


def routes() -> list[web.RouteDef]:
    """The page's own routes; no ComfyUI has them."""
    return [web.get("/vramgate/files", show), web.delete("/vramgate/files", delete)]


async def show(request: web.Request) -> web.Response:
    """The caller's uploads, newest first of each type."""
    svc, who = services(request), identity(request)
    files: list[Upload] = [
        {"type": kind, "path": file.path, "size_bytes": file.size_bytes}
        for kind in FILE_TYPES
        for file in await svc.input_files.list(who.user, kind)
    ]
    used = sum(file["size_bytes"] for file in files)
    quota = upload_quota(svc.settings(), who.user, who.group)
    found: Uploads = {"used_bytes": used, "quota_bytes": quota, "files": files}
    return json_reply(found)


async def delete(request: web.Request) -> web.Response:
    """Drop one upload of the caller's by ``type`` and ``path``: 204, or 404.

    A prompt that was sent keeps the bytes that it named.
    """
    svc, who = services(request), identity(request)
    if who.role is Role.VIEWER:
        raise Forbidden("A viewer has no files; ask your admin for another role.")
    kind = request.query.get("type", "input")
    if kind not in FILE_TYPES:
        raise BadRequest(f"type must be one of {', '.join(FILE_TYPES)}.")
    try:
        path = clean_path(request.query.get("path", ""))
    except (BadName, Escape) as error:
        raise BadRequest(f"path must name a file: {error}.") from error
    gone = await svc.input_files.delete(who.user, kind, path)
    if gone:
        svc.info.note_files(who.user)
    return web.Response(status=204 if gone else 404)
