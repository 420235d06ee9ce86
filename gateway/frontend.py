"""The browser UI: a folder of files (the admin's, or the installed package), or a worker's own.

The package is used as files, not imported. Whatever the UI asks for beyond them (scripts
of node packs, templates, node help) comes from a worker by the agent's list of prefixes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web

from config.settings import Frontend, Gateway
from gateway.agents import PATIENCE_S, allowed
from gateway.browser_rules import is_socket
from gateway.context import services
from gateway.errors import Unavailable, UpstreamDown
from gateway.media_types import media_type
from gateway.worker_ui import WORKER_UI
from scheduler.states import Worker

_PACKAGE: Final = "comfyui_frontend_package"
_NO_CACHE: Final = "no-cache"
_DAY: Final = "public, max-age=86400"
_HOUR: Final = "public, max-age=3600"
_CORE: Final = "/extensions/core/"
#: served from workers whichever UI is shown
_WORKER_FOLDERS: Final = ("extensions", "templates", "docs")
#: the page's web app manifest, as the UI's build names it
_MANIFEST: Final = re.compile(r"/assets/manifest-[\w-]{8}\.json", re.ASCII)


@cache
def package_root() -> Path | None:
    """Folder of the installed package's files, or None."""
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        root = Path(location, "static").resolve()
        if (root / "index.html").is_file():
            return root
    return None


def shown_root(settings: Gateway) -> Path | None:
    """The folder whose files are served while no worker's own UI is; None: there is none."""
    return package_root() if settings.frontend_root is None else settings.frontend_root


def no_page_in(root: Path) -> str | None:
    """What is wrong with a folder that is to be shown as the UI, or None."""
    if (root / "index.html").is_file():
        return None
    inner = next((one for one in root.glob("*/static") if (one / "index.html").is_file()), None)
    return f"there is no index.html in {root}" + (f"; {inner} has one" if inner else "")


@cache
def _own_extensions(root: Path) -> tuple[str, ...]:
    folder = root / "extensions"
    return tuple(
        "/extensions/" + path.relative_to(folder).as_posix() for path in folder.rglob("*.js")
    )


async def extensions(request: web.Request) -> list[str]:
    """What ``/extensions`` lists: the UI's core scripts must match the UI that is shown."""
    info = services(request).info
    listed = _texts(await info.union("extensions"))
    worker = await shown_worker(request)
    root = shown_root(services(request).settings().gateway)
    if worker is not None:
        own = _texts(await info.of(worker, "extensions"))
        core = [entry for entry in own if entry.startswith(_CORE)]
    elif root is not None:
        core = list(await asyncio.to_thread(_own_extensions, root))
    else:
        core = []
    return [*core, *(entry for entry in listed if not entry.startswith(_CORE))]


def _texts(told: Any) -> list[str]:
    return [entry for entry in told or () if isinstance(entry, str)]


async def shown_worker(request: web.Request) -> Worker | None:
    """The worker whose own UI is shown; None: files of a folder here are."""
    svc = services(request)
    settings = svc.settings().gateway
    kind = settings.frontend
    if kind is Frontend.PACKAGE or settings.frontend_root is not None:
        return None
    worker = await request.app[WORKER_UI].worker()
    if worker is None and kind is Frontend.WORKER:
        worker = next(iter(await svc.agents.ready()), None)
    return worker


def is_manifest(request: web.Request) -> bool:
    """Whether this asks for the page's web app manifest.

    Browsers fetch it without cookies, whoever is logged in. It belongs to the UI's build
    and is the same for everybody.
    """
    readable = request.method in ("GET", "HEAD") and not is_socket(request.headers)
    return readable and _MANIFEST.fullmatch(request.rel_url.raw_path) is not None


async def serve(request: web.Request) -> web.StreamResponse:
    """The last route: a file of the UI, or 404 with an empty body as ComfyUI answers."""
    path = request.rel_url.raw_path.lstrip("/")
    path = "" if path == "api/" else path
    kind = services(request).settings().gateway.frontend
    worker = await shown_worker(request)
    if worker is not None:
        try:
            # with the package at hand nobody need wait for a worker to come back
            patience_s = PATIENCE_S if kind is Frontend.WORKER else 0.0
            return await _from_workers(request, worker, path, patience_s)
        except UpstreamDown:
            if kind is Frontend.WORKER:
                raise
            request.app[WORKER_UI].gone(worker)
    if kind is Frontend.WORKER:
        return _no_page(path, "No worker is ready, so there is no page yet; try again shortly.")
    return await _from_root(request, path)


async def _from_root(request: web.Request, path: str) -> web.StreamResponse:
    root = shown_root(services(request).settings().gateway)
    if root is not None:
        file = await asyncio.to_thread(_find, root, request.match_info.get("path", ""))
        if file is not None:
            headers = {hdrs.CACHE_CONTROL: _cache_for(file.name)}
            return web.FileResponse(file, headers=headers)
    if path.split("/", 1)[0] in _WORKER_FOLDERS and await services(request).agents.ready():
        return await _from_workers(request, None, path)
    if root is None:
        return _no_page(path, f"No worker has a page, and {_PACKAGE} is not installed here.")
    return _missing(path)


async def _from_workers(
    request: web.Request, shown: Worker | None, path: str, patience_s: float = PATIENCE_S
) -> web.StreamResponse:
    """From the worker that is shown; scripts of packs also from any other that has the pack."""
    wanted = "" if path == "index.html" else path
    if not allowed(wanted) or _is_api(wanted):
        return _missing(path)
    agents = services(request).agents
    workers = [] if shown is None else [shown]
    if shown is None or (path.startswith("extensions/") and not f"/{path}".startswith(_CORE)):
        workers += [one for one in await agents.ready() if one not in workers]
    query = request.rel_url.raw_query_string
    return await agents.worker_get(request, workers, wanted, query, patience_s=patience_s)


def _no_page(path: str, message: str) -> web.Response:
    """Raises Unavailable for the page itself; anything else is just not there."""
    if path in ("", "index.html"):
        raise Unavailable(message, headers={hdrs.RETRY_AFTER: "5"})
    return _missing(path)


def _is_api(path: str) -> bool:
    """Whether the path has a handler of its own and must not be fetched raw."""
    return path.split("/", 1)[0] in {
        "object_info",
        "system_stats",
        "features",
        "i18n",
        "models",
        "embeddings",
        "view_metadata",
        "workflow_templates",
        "experiment",
        "global_subgraphs",
        "node_replacements",
    } or path in {"extensions", "extensions/"}


def _find(root: Path, path: str) -> Path | None:
    if "\0" in path:
        return None
    try:
        root = root.resolve()
        file = (root / (path.strip("/") or "index.html")).resolve()
    except OSError:
        return None
    return file if file.is_relative_to(root) and file.is_file() else None


def _cache_for(name: str) -> str:
    kind = media_type(name) or ""
    return _DAY if kind.startswith("image/") else _NO_CACHE


def _missing(path: str) -> web.Response:
    kind = media_type(path) or ""
    headers = {hdrs.CACHE_CONTROL: _HOUR} if kind.startswith("image/") else {}
    return web.Response(status=404, headers=headers)
