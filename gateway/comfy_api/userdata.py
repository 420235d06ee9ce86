"""``/users``, ``/settings`` and ``/userdata``: what the browser UI keeps for a person.

Kept per user in the store. The client's ``comfy-user`` header is not read: whose data it
is follows from the credential alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import hdrs, web

from gateway.comfy_api.files import safe_headers
from gateway.context import identity, services
from gateway.errors import BadRequest
from gateway.json_body import NotJson, json_reply, read_json
from gateway.names import BadName, Escape, clean_folder, clean_path
from gateway.ports import Document

#: the UI loads it as the user's own style sheet, so it must not become a download
_STYLE: Final = "user.css"
#: a header that frontends send with each request, mostly empty; never believed
_FRONTENDS: Final = "Comfy-User"
_NO_TUTORIAL: Final = {"Comfy.TutorialCompleted": True}


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too.

    ``{file}`` is one segment: a slash inside comes as ``%2F``.
    """
    return [
        web.get("/users", users),
        web.post("/users", add_user),
        web.get("/settings", settings),
        web.post("/settings", change_settings),
        web.get("/settings/{id}", setting),
        web.post("/settings/{id}", change_setting),
        web.get("/userdata", list_documents),
        web.get("/v2/userdata", list_entries),
        web.get("/userdata/{file}", read),
        web.post("/userdata/{file}", write),
        web.delete("/userdata/{file}", delete),
        web.post("/userdata/{file}/move/{dest}", move),
    ]


async def _body(request: web.Request) -> Any:
    """The request's JSON, whatever its type says.

    Raises:
        BadRequest: it is none.
    """
    try:
        return read_json(await request.read())
    except NotJson as error:
        raise BadRequest(f"The body must be JSON: {error}.") from error


async def users(request: web.Request) -> web.Response:
    """As a server with one user: the UI must not offer to choose one."""
    return json_reply({"storage": "server", "migrated": True})


async def add_user(request: web.Request) -> web.Response:
    """Users are made by admins, not by browsers."""
    return json_reply({"error": "Users are managed by this gateway's admin."}, status=403)


async def settings(request: web.Request) -> web.Response:
    """All settings of the user."""
    return json_reply(await _settings(request))


async def change_settings(request: web.Request) -> web.Response:
    """Set some settings; the others stay."""
    changes = await _body(request)
    if not isinstance(changes, dict):
        raise BadRequest("The body must be a JSON object of settings.")
    await services(request).documents.change_settings(identity(request).user, changes)
    return web.Response()


async def setting(request: web.Request) -> web.Response:
    """One setting, or null."""
    return json_reply((await _settings(request)).get(request.match_info["id"]))


async def _settings(request: web.Request) -> dict[str, Any]:
    """As stored. Where no worker has templates, a default in place of them.

    A frontend greets whoever has not seen it with a choice of templates. Without any
    that is an empty dialog; told that it has been seen, it opens its default workflow.
    Who has settings gets them as they are, unless a frontend asks.
    """
    svc = services(request)
    stored = await svc.documents.settings(identity(request).user)
    as_they_are = bool(stored) and _FRONTENDS not in request.headers
    if as_they_are or stored.keys() >= _NO_TUTORIAL.keys() or await svc.info.has_templates():
        return stored
    return _NO_TUTORIAL | stored


async def change_setting(request: web.Request) -> web.Response:
    """Set one setting."""
    change = {request.match_info["id"]: await _body(request)}
    await services(request).documents.change_settings(identity(request).user, change)
    return web.Response()


async def list_documents(request: web.Request) -> web.Response:
    """Files below ``dir``: paths from there, split paths, or with size and dates.

    As in ComfyUI without those whose name, or whose folder's below ``dir``, begins with a dot:
    frontends keep lists of their own in such files.
    """
    wanted = request.query.get("dir", "")
    if not wanted:
        return web.Response(status=400, text="Directory not provided")
    try:
        folder = clean_folder(_decoded(wanted))
    except (BadName, Escape):
        return web.Response(status=403, text="Invalid directory")
    found = await _below(request, folder, recurse=_true(request, "recurse"))
    if found is None:
        return web.Response(status=404, text="Directory not found")
    start = f"{folder}/" if folder else ""
    named = [(document.path.removeprefix(start), document) for document in found]
    shown = [(name, document) for name, document in named if "/." not in f"/{name}"]
    if _true(request, "full_info"):
        return json_reply([_about(document, name) for name, document in shown])
    if _true(request, "split"):
        return json_reply([[name, *name.split("/")] for name, _ in shown])
    return json_reply([name for name, _ in shown])


async def _below(request: web.Request, folder: str, *, recurse: bool) -> list[Document] | None:
    """What lies in a folder; nothing lies in a file. None: there is neither."""
    documents, user = services(request).documents, identity(request).user
    found = await documents.list(user, folder, recurse=recurse)
    if found is None and await documents.read(user, folder) is not None:
        return []
    return found


async def list_entries(request: web.Request) -> web.Response:
    """Everything below ``path``, folders first, by name."""
    try:
        folder = clean_folder(_decoded(request.query.get("path", "")))
    except (BadName, Escape):
        return web.Response(status=400, text="Invalid path requested")
    documents, user = services(request).documents, identity(request).user
    found = await documents.list(user, folder, recurse=True)
    if found is None and await documents.read(user, folder) is not None:
        return web.Response(status=400, text="Requested path is not a directory")
    if found is None:
        return web.Response(status=404, text="Requested path not found")
    entries = [*_folders(found, folder), *map(_entry, found)]
    entries.sort(key=lambda entry: (entry["type"] != "directory", entry["name"].lower()))
    return json_reply(entries)


def _folders(found: list[Document], below: str) -> list[dict[str, Any]]:
    paths = set()
    for document in found:
        folder = posixpath.dirname(document.path)
        while folder and folder != below:
            paths.add(folder)
            folder = posixpath.dirname(folder)
    return [
        {"name": posixpath.basename(path), "path": path, "type": "directory"}
        for path in sorted(paths)
    ]


def _entry(document: Document) -> dict[str, Any]:
    return {
        "name": posixpath.basename(document.path),
        "path": document.path,
        "type": "file",
        "size": document.size_bytes,
        "modified": document.modified,
    }


async def read(request: web.Request) -> web.Response:
    """One file's content."""
    path = _path(request, "file")
    if path is None:
        return web.Response(status=403)
    body = await services(request).documents.read(identity(request).user, path)
    if body is None:
        return web.Response(status=404)
    etag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {hdrs.ETAG: etag, hdrs.CACHE_CONTROL: "private, no-cache", **_headers(path)}
    if etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers={hdrs.ETAG: etag})
    return web.Response(body=body, headers=headers)


def _headers(path: str) -> Mapping[str, str]:
    if path == _STYLE:
        return {hdrs.CONTENT_TYPE: "text/css"}
    headers = safe_headers(posixpath.basename(path))
    if not headers[hdrs.CONTENT_DISPOSITION].startswith("attachment"):
        del headers[hdrs.CONTENT_DISPOSITION]
    return headers


async def write(request: web.Request) -> web.Response:
    """Store a file; 409 where it exists and may not be replaced."""
    path = _path(request, "file")
    if path is None:
        return web.Response(status=403)
    document = await services(request).documents.write(
        identity(request).user, path, await request.read(), overwrite=_overwrites(request)
    )
    if document is None:
        return web.Response(status=409, text="File already exists")
    return _stored(request, document)


async def delete(request: web.Request) -> web.Response:
    """Remove a file."""
    path = _path(request, "file")
    if path is None:
        return web.Response(status=403)
    gone = await services(request).documents.delete(identity(request).user, path)
    return web.Response(status=204 if gone else 404)


async def move(request: web.Request) -> web.Response:
    """Rename a file; 409 where the target exists and may not be replaced."""
    source, target = _path(request, "file"), _path(request, "dest")
    if source is None or target is None:
        return web.Response(status=403)
    moved = await services(request).documents.move(
        identity(request).user, source, target, overwrite=_overwrites(request)
    )
    if moved is None:
        return web.Response(status=409, text="File already exists")
    if isinstance(moved, LookupError):
        return web.Response(status=404)
    return _stored(request, moved)


def _path(request: web.Request, key: str) -> str | None:
    """The path in a segment; None: it leaves the user's folder or names no file."""
    try:
        return clean_path(_decoded(request.match_info[key]))
    except (BadName, Escape):
        return None


def _decoded(path: str) -> str:
    """A path that still holds ``%`` once more decoded, as ComfyUI does: some clients encode twice."""
    return unquote(path) if "%" in path else path


def _stored(request: web.Request, document: Document) -> web.Response:
    if _true(request, "full_info"):
        return json_reply(_about(document, document.path))
    return json_reply(document.path)


def _about(document: Document, path: str) -> dict[str, Any]:
    return {
        "path": path,
        "size": document.size_bytes,
        "modified": document.modified,
        "created": document.created,
    }


def _true(request: web.Request, key: str) -> bool:
    return request.query.get(key, "").lower() == "true"


def _overwrites(request: web.Request) -> bool:
    return request.query.get("overwrite", "true") != "false"
