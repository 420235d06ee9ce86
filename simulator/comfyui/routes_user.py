"""Users, settings and userdata of the single user that a worker knows."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from simulator.comfyui.edge import read_json, worker_of
from simulator.comfyui.folders import is_inside

ROUTES = web.RouteTableDef()


@ROUTES.get("/users")
async def _users(request: web.Request) -> web.Response:
    migrated = worker_of(request).folders.user.exists()
    return web.json_response({"storage": "server", "migrated": migrated})


@ROUTES.post("/users")
async def _add_user(request: web.Request) -> web.Response:
    body = await read_json(request)
    return web.json_response(f"{body['username']}_{uuid.uuid4()}")


def _settings_file(request: web.Request) -> Path:
    return worker_of(request).folders.user / "comfy.settings.json"


def _settings(request: web.Request) -> dict[str, Any]:
    path = _settings_file(request)
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _save_settings(request: web.Request, settings: dict[str, Any]) -> web.Response:
    path = _settings_file(request)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=4))
    return web.Response()


@ROUTES.get("/settings")
async def _get_settings(request: web.Request) -> web.Response:
    return web.json_response(_settings(request))


@ROUTES.post("/settings")
async def _post_settings(request: web.Request) -> web.Response:
    new = await read_json(request)
    return _save_settings(request, _settings(request) | new)


@ROUTES.get("/settings/{id}")
async def _get_setting(request: web.Request) -> web.Response:
    return web.json_response(_settings(request).get(request.match_info["id"]))


@ROUTES.post("/settings/{id}")
async def _post_setting(request: web.Request) -> web.Response:
    value = await read_json(request)
    return _save_settings(request, _settings(request) | {request.match_info["id"]: value})


@ROUTES.get("/userdata")
async def _list_files(request: web.Request) -> web.Response:
    query, root = request.query, worker_of(request).folders.user
    directory = query.get("dir", "")
    if not directory:
        return web.Response(status=400, text="Directory not provided")
    path = root / directory
    if not is_inside(path, root):
        return web.Response(status=403, text="Invalid directory")
    if not path.exists():
        return web.Response(status=404, text="Directory not found")
    files = _files(path, recurse=query.get("recurse", "").lower() == "true")
    full_info = query.get("full_info", "").lower() == "true"
    split = query.get("split", "").lower() == "true" and not full_info
    return web.json_response([_listed(file, path, full_info, split) for file in files])


def _files(path: Path, *, recurse: bool) -> Iterator[Path]:
    found = path.rglob("*") if recurse else path.glob("*")
    return (file for file in sorted(found) if file.is_file())


def _listed(file: Path, root: Path, full_info: bool, split: bool) -> Any:
    name = file.relative_to(root).as_posix()
    if full_info:
        return {"path": name, **_facts(file)}
    return [name, *name.split("/")] if split else name


def _facts(file: Path) -> dict[str, Any]:
    stat = file.stat()
    return {"size": stat.st_size, "modified": stat.st_mtime, "created": stat.st_ctime}


@ROUTES.get("/v2/userdata")
async def _list_everything(request: web.Request) -> web.Response:
    root = worker_of(request).folders.user
    path = root / request.query.get("path", "")
    if not is_inside(path, root):
        return web.Response(status=403)
    if not path.is_dir():
        return web.Response(status=404)
    entries = [_entry(each, root) for each in path.rglob("*")]
    return web.json_response(
        sorted(entries, key=lambda entry: (entry["type"] != "directory", entry["name"]))
    )


def _entry(path: Path, root: Path) -> dict[str, Any]:
    entry = {"name": path.name, "path": path.relative_to(root).as_posix(), "type": "directory"}
    if path.is_dir():
        return entry
    facts = _facts(path)
    return {**entry, "type": "file", "size": facts["size"], "modified": facts["modified"]}


def _file(request: web.Request, part: str = "file") -> Path:
    """The file that a path parameter names; its ``%2F`` are slashes by now.

    Raises:
        web.HTTPForbidden: It leads out of the user's directory.
    """
    root = worker_of(request).folders.user
    path = root / request.match_info[part]
    if not is_inside(path, root):
        raise web.HTTPForbidden
    return path


@ROUTES.get("/userdata/{file}")
async def _get_file(request: web.Request) -> web.StreamResponse:
    path = _file(request)
    return web.FileResponse(path) if path.is_file() else web.Response(status=404)


@ROUTES.post("/userdata/{file}")
async def _put_file(request: web.Request) -> web.Response:
    path = _file(request)
    if _may_not_replace(request, path):
        return web.Response(status=409, text="File already exists")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(await request.read())
    return _written(request, path)


@ROUTES.delete("/userdata/{file}")
async def _delete_file(request: web.Request) -> web.Response:
    path = _file(request)
    if not path.is_file():
        return web.Response(status=404)
    path.unlink()
    return web.Response(status=204)


@ROUTES.post("/userdata/{file}/move/{dest}")
async def _move_file(request: web.Request) -> web.Response:
    source, target = _file(request), _file(request, "dest")
    if not source.is_file():
        return web.Response(status=404)
    if _may_not_replace(request, target):
        return web.Response(status=409, text="File already exists")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)
    return _written(request, target)


def _may_not_replace(request: web.Request, path: Path) -> bool:
    return request.query.get("overwrite") == "false" and path.exists()


def _written(request: web.Request, path: Path) -> web.Response:
    name = path.relative_to(worker_of(request).folders.user).as_posix()
    if request.query.get("full_info", "").lower() == "true":
        return web.json_response({"path": name, **_facts(path)})
    return web.json_response(name)
