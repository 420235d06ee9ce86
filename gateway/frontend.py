"""The browser UI: files of the installed frontend package, or a worker's own.

The package is used as files, not imported. Whatever the UI asks for beyond them (scripts
of node packs, templates, node help) comes from a worker by the agent's list of prefixes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import mimetypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiohttp import hdrs, web

from config.settings import Frontend, Settings
from gateway.agents import allowed
from gateway.context import services
from gateway.errors import Unavailable

_PACKAGE: Final = "comfyui_frontend_package"
_NO_CACHE: Final = "no-cache"
_DAY: Final = "public, max-age=86400"
_HOUR: Final = "public, max-age=3600"
_CORE: Final = "/extensions/core/"
#: served from workers whichever UI is shown
_WORKER_FOLDERS: Final = ("extensions", "templates", "docs")


@cache
def package_root() -> Path | None:
    """Folder of the installed package's files, or None."""
    spec = importlib.util.find_spec(_PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        root = Path(location, "static").resolve()
        if (root / "index.html").is_file():
            return root
    return None


def root_for(settings: Settings) -> Path | None:
    """Folder that the UI is served from; None: from a worker.

    ``auto`` prefers the package: it is there even while no worker is.
    """
    return None if settings.gateway.frontend is Frontend.WORKER else package_root()


@cache
def _package_extensions(root: Path) -> tuple[str, ...]:
    folder = root / "extensions"
    return tuple(
        "/extensions/" + path.relative_to(folder).as_posix() for path in folder.rglob("*.js")
    )


async def extensions(settings: Settings, from_workers: Sequence[Any]) -> list[str]:
    """What ``/extensions`` lists: the UI's core scripts must match the UI that is shown."""
    root = root_for(settings)
    told = [entry for entry in from_workers if isinstance(entry, str)]
    if root is None:
        return told
    core = await asyncio.to_thread(_package_extensions, root)
    return [*core, *(entry for entry in told if not entry.startswith(_CORE))]


async def serve(request: web.Request) -> web.StreamResponse:
    """The last route: a file of the UI, or 404 with an empty body as ComfyUI answers."""
    raw_path = request.rel_url.raw_path.lstrip("/")
    svc = services(request)
    root = root_for(svc.settings())
    if root is not None:
        file = await asyncio.to_thread(_find, root, request.match_info["path"])
        if file is not None:
            headers = {hdrs.CACHE_CONTROL: _cache_for(file.name)}
            return web.FileResponse(file, headers=headers)
    elif svc.settings().gateway.frontend is Frontend.PACKAGE:
        raise Unavailable(f"The package {_PACKAGE} is not installed; see gateway.frontend.")
    return await _from_worker(request, raw_path, whole=root is None)


async def _from_worker(request: web.Request, path: str, *, whole: bool) -> web.StreamResponse:
    wanted = (path or "index.html") if whole else path
    in_folders = wanted.split("/", 1)[0] in _WORKER_FOLDERS
    if not (whole or in_folders) or not allowed(wanted) or _is_api(wanted):
        return _missing(path)
    agents = services(request).agents
    worker = next(iter(await agents.ready()), None)
    if worker is None:
        if wanted != "index.html":
            return _missing(path)
        raise Unavailable("No worker is ready, so there is no page yet; try again shortly.")
    return await agents.worker_get(request, worker, wanted, request.rel_url.raw_query_string)


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
    } or path in {"extensions", "extensions/"}


def _find(root: Path, path: str) -> Path | None:
    if "\0" in path:
        return None
    try:
        file = (root / (path.strip("/") or "index.html")).resolve()
    except OSError:
        return None
    return file if file.is_relative_to(root) and file.is_file() else None


def _cache_for(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or ""
    return _DAY if kind.startswith("image/") else _NO_CACHE


def _missing(path: str) -> web.Response:
    kind = mimetypes.guess_type(path)[0] or ""
    headers = {hdrs.CACHE_CONTROL: _HOUR} if kind.startswith("image/") else {}
    return web.Response(status=404, headers=headers)
