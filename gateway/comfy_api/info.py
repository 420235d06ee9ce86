"""ComfyUI's routes about the server: node definitions, models, versions.

Answers come from ``WorkerInfo`` (merged over workers, host paths left out) or are the
gateway's own. Nothing here tells one user about another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import structlog
from aiohttp import hdrs, web

from config.settings import Role
from gateway.context import identity, services
from gateway.errors import Unavailable
from gateway.frames import server_features
from gateway.frontend import extensions as frontend_extensions
from gateway.json_body import NotJson, json_reply, read_json
from gateway.large_reply import PlainResponse
from gateway.names import FILE_TYPES
from gateway.sight import sight_of
from scheduler.ledger import Pool

_log = structlog.get_logger()
_FOLDER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: what a worker may tell of its system; everything else could hold paths
_SYSTEM: Final = (
    "os",
    "ram_total",
    "ram_free",
    "comfyui_version",
    "required_frontend_version",
    "installed_templates_version",
    "required_templates_version",
    "python_version",
    "pytorch_version",
    "embedded_python",
    "deploy_environment",
    "comfy_package_versions",
)
#: while no worker has answered yet; frontends compare versions, so these must be strings
_UNKNOWN_SYSTEM: Final[Mapping[str, Any]] = {
    "os": "posix",
    "ram_total": 0,
    "ram_free": 0,
    "comfyui_version": "unknown",
    "python_version": "unknown",
    "pytorch_version": "unknown",
    "embedded_python": False,
}


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [
        web.get("/object_info", object_info),
        web.get("/object_info/{node_class}", node_info),
        web.get("/system_stats", system_stats),
        web.get("/features", features),
        web.get("/extensions", extensions),
        web.get("/i18n", i18n),
        web.get("/workflow_templates", workflow_templates),
        web.get("/models", models),
        web.get("/models/{folder}", models),
        web.get("/embeddings", embeddings),
        web.get("/experiment/models", experiment_models),
        web.get("/experiment/models/{folder}", experiment_folder),
        web.get("/experiment/models/preview/{folder}/{place:[0-9]+}/{tail:.+}", from_any_worker),
        web.get("/view_metadata/{folder}", view_metadata),
        web.post("/free", free),
    ]


def internal_routes() -> list[web.RouteDef]:
    """``/internal/*``, which ComfyUI does not repeat under ``/api``."""
    return [
        web.get("/internal/folder_paths", folder_paths),
        web.get("/internal/files/{type}", files),
    ]


async def no_internal(request: web.Request) -> web.Response:
    """What no other route has below ``/internal``: ComfyUI's page is not looked for there."""
    for resource in request.app.router.resources():
        _, methods = await resource.resolve(request)
        if methods and resource.canonical.startswith("/internal/"):
            raise web.HTTPMethodNotAllowed(request.method, methods)
    return web.Response(status=404, text="404: Not Found")


def api_only_routes() -> list[web.RouteDef]:
    """What ComfyUI offers under ``/api`` alone."""
    return [web.get("/api/workflow_templates/{tail:.+}", template_file)]


async def object_info(request: web.Request) -> web.Response:
    """All node definitions, with the user's own files as choices."""
    svc, who = services(request), identity(request)
    packed = await svc.info.packed(who.user, sight_of(svc.settings(), who))
    if packed is None:
        raise Unavailable(
            "No worker has told its nodes yet; try again shortly.", headers={hdrs.RETRY_AFTER: "5"}
        )
    zipped = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
    etag = f'"{packed.etag}-gz"' if zipped else f'"{packed.etag}"'
    headers = {
        hdrs.ETAG: etag,
        # private: it names the user's files; no-cache: ask, and be told 304
        hdrs.CACHE_CONTROL: "private, no-cache",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
    }
    if _matches(request.headers.get(hdrs.IF_NONE_MATCH, ""), packed.etag):
        return web.Response(status=304, headers=headers)
    if zipped:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return PlainResponse(
        body=packed.gzipped if zipped else packed.plain(),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


def _matches(header: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return bool(tags & {"*", f'"{etag}"', f'"{etag}-gz"'})


async def node_info(request: web.Request) -> web.Response:
    """One class; an unknown one is an empty object, as ComfyUI answers."""
    name = request.match_info["node_class"]
    svc, who = services(request), identity(request)
    node = await svc.info.node(who.user, name, sight_of(svc.settings(), who))
    return json_reply({} if node is None else {name: node})


async def system_stats(request: web.Request) -> web.Response:
    """Versions of a worker, memory of all GPUs; no arguments, no host paths."""
    svc = services(request)
    told = await svc.info.first("system_stats")
    system = told.get("system", {}) if isinstance(told, dict) else {}
    shown = dict(_UNKNOWN_SYSTEM) | {key: system[key] for key in _SYSTEM if key in system}
    await svc.agents.ready()
    devices = _devices(svc.agents.pool) or [_processor(shown)]
    return json_reply({"system": {**shown, "argv": []}, "devices": devices})


def _processor(system: Mapping[str, Any]) -> dict[str, Any]:
    """The device of a pool without GPUs, as ComfyUI's ``--cpu`` shows it; clients read the first."""
    total, free = system["ram_total"], system["ram_free"]
    return {
        "name": "cpu",
        "type": "cpu",
        "index": None,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": total,
        "torch_vram_free": free,
    }


def _devices(pool: Pool) -> list[dict[str, Any]]:
    found = []
    for index, gpu in enumerate(sorted(pool.gpus.values(), key=lambda gpu: (gpu.agent, gpu.index))):
        held = sum(worker.used_bytes for worker in pool.workers.values() if worker.gpu == gpu.id)
        found.append(
            {
                "name": f"cuda:{index} {gpu.name}",
                "type": "cuda",
                "index": index,
                "vram_total": gpu.total_bytes,
                "vram_free": max(0, gpu.total_bytes - gpu.used_bytes),
                "torch_vram_total": held,
                "torch_vram_free": 0,
            }
        )
    return found


async def features(request: web.Request) -> web.Response:
    """The gateway's own abilities."""
    limit = services(request).settings().gateway.max_body
    return json_reply(server_features(limit))


async def extensions(request: web.Request) -> web.Response:
    """Scripts that the browser UI loads: the UI's own and the workers' packs'."""
    return json_reply(await frontend_extensions(request))


async def i18n(request: web.Request) -> web.Response:
    """Translations of node packs."""
    return json_reply(await services(request).info.first("i18n") or {})


async def workflow_templates(request: web.Request) -> web.Response:
    """Templates of node packs."""
    return json_reply(await services(request).info.first("workflow_templates") or {})


async def embeddings(request: web.Request) -> web.Response:
    """Names of embeddings on any worker."""
    return json_reply(await services(request).info.union("embeddings") or [])


async def models(request: web.Request) -> web.Response:
    """Model folders, or the models of one; 404 for a folder that no worker has."""
    folder = request.match_info.get("folder")
    path = "models" if folder is None else _folder_path("models", folder)
    found = None if path is None else await services(request).info.union(path)
    if found is None:
        return json_reply([]) if folder is None else web.Response(status=404)
    return json_reply(found)


async def experiment_models(request: web.Request) -> web.Response:
    """Model folders by name; where they lie on hosts is nobody's business.

    The number of places stays, because ``pathIndex`` counts them.
    """
    found = await services(request).info.union("experiment/models") or []
    folders: dict[str, dict[str, Any]] = {}
    for entry in found:
        name = entry["name"]
        folders.setdefault(name, {"name": name, "folders": [name] * len(entry["folders"])})
    return json_reply(list(folders.values()))


async def experiment_folder(request: web.Request) -> web.Response:
    """Models of one folder with size and date; one entry per name."""
    path = _folder_path("experiment/models", request.match_info["folder"])
    found = None if path is None else await services(request).info.union(path)
    if found is None:
        return web.Response(status=404)
    by_name: dict[str, Any] = {}
    for entry in found:
        by_name.setdefault(entry["name"], entry)
    return json_reply(list(by_name.values()))


def _folder_path(start: str, folder: str) -> str | None:
    return f"{start}/{folder}" if _FOLDER.fullmatch(folder) and ".." not in folder else None


async def from_any_worker(request: web.Request) -> web.StreamResponse:
    """Pass on to the workers, path as it came."""
    path = request.rel_url.raw_path.removeprefix("/api").lstrip("/")
    return await _from_workers(request, path)


async def template_file(request: web.Request) -> web.StreamResponse:
    """A node pack's template or its picture, from a worker that has the pack."""
    return await _from_workers(request, request.rel_url.raw_path.lstrip("/"))


async def _from_workers(request: web.Request, path: str) -> web.StreamResponse:
    agents = services(request).agents
    query = request.rel_url.raw_query_string
    return await agents.worker_get(request, await agents.ready(), path, query)


async def view_metadata(request: web.Request) -> web.StreamResponse:
    """A model file's own description, from the first worker that has the file."""
    svc = services(request)
    path = _folder_path("view_metadata", request.match_info["folder"])
    filename = request.query.get("filename")
    if path is None or filename is None:
        return web.Response(status=404)
    query = str(request.rel_url.with_query({"filename": filename}).raw_query_string)
    return await svc.agents.worker_get(request, await svc.agents.ready(), path, query)


async def free(request: web.Request) -> web.Response:
    """Idle workers give their memory back where an admin asks; else it is a hint, and nothing more.

    The scheduler releases memory when a job needs it. A worker that runs a prompt is left alone.
    """
    wanted = _wants(await request.read())
    if wanted and identity(request).role is Role.ADMIN:
        svc = services(request)
        for worker in await svc.agents.ready():
            if not worker.job and await svc.ledger.release(None, worker.id):
                _log.info("freed_by_admin", worker=worker.id, user=identity(request).user)
    return web.Response()


def _wants(body: bytes) -> bool:
    """Whether anything is to be given up; an empty body asks for nothing."""
    try:
        asked = read_json(body) if body else {}
    except NotJson:
        return False
    flags = ("unload_models", "free_memory")
    return isinstance(asked, dict) and any(bool(asked.get(flag)) for flag in flags)


async def folder_paths(request: web.Request) -> web.Response:
    """Host paths stay on hosts."""
    return json_reply({})


async def files(request: web.Request) -> web.Response:
    """The user's own files of one type, newest first, top level only; then mates' outputs."""
    svc, user, kind = services(request), identity(request).user, request.match_info["type"]
    if kind not in FILE_TYPES:
        return json_reply({"error": "Invalid directory type"}, 400)
    uploads = [file.path for file in await svc.input_files.list(user, kind) if "/" not in file.path]
    if kind == "input":
        return json_reply(uploads)
    made = [
        record.filename for record in await svc.ledger.files(user, kind) if not record.subfolder
    ]
    own = [*made, *(name for name in uploads if name not in made)]
    return json_reply([*own, *(await svc.info.shared_outputs(user) if kind == "output" else ())])
