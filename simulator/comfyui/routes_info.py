"""What a worker is and has: nodes, models, system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from simulator.comfyui.catalog import FOLDERS
from simulator.comfyui.edge import worker_of
from simulator.comfyui.websocket import FEATURES
from simulator.comfyui.worker import Worker

ROUTES = web.RouteTableDef()

_VERSION = "0.3.64"
_FRONTEND_VERSION = "1.27.10"
_TEMPLATES_VERSION = "0.1.95"
#: Folders of ``/models`` that are no models.
_NOT_MODELS = {"configs", "custom_nodes"}


@ROUTES.get("/object_info")
async def _object_info(request: web.Request) -> web.Response:
    return web.json_response(dict(worker_of(request).object_info.all()))


@ROUTES.get("/object_info/{node_class}")
async def _object_info_of(request: web.Request) -> web.Response:
    name, definitions = request.match_info["node_class"], worker_of(request).object_info.all()
    return web.json_response({name: definitions[name]} if name in definitions else {})


@ROUTES.get("/system_stats")
async def _system_stats(request: web.Request) -> web.Response:
    worker = worker_of(request)
    memory = _host_memory()
    system = {
        "os": os.name,
        "ram_total": memory["MemTotal"],
        "ram_free": memory["MemAvailable"],
        "comfyui_version": _VERSION,
        "required_frontend_version": _FRONTEND_VERSION,
        "installed_templates_version": _TEMPLATES_VERSION,
        "required_templates_version": _TEMPLATES_VERSION,
        "python_version": sys.version,
        "pytorch_version": "simulated",
        "embedded_python": False,
        "argv": ["main.py", "--listen", "127.0.0.1", "--port", str(worker.options.port)],
    }
    return web.json_response({"system": system, "devices": [_device(worker, memory)]})


def _device(worker: Worker, memory: dict[str, int]) -> dict[str, Any]:
    device = worker.device
    if device.gpu is None:
        total, free = memory["MemTotal"], memory["MemAvailable"]
        return {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": total,
            "vram_free": free,
            "torch_vram_total": total,
            "torch_vram_free": free,
        }
    torch_free = device.reserved_bytes - device.allocated_bytes
    return {
        # Inside one worker its card is always number 0.
        "name": f"cuda:0 {device.gpu.name} : cudaMallocAsync",
        "type": "cuda",
        "index": 0,
        "vram_total": device.gpu.total_bytes,
        "vram_free": device.gpu.read().free_bytes + torch_free,
        "torch_vram_total": device.reserved_bytes,
        "torch_vram_free": torch_free,
    }


def _host_memory() -> dict[str, int]:
    """Bytes of this machine's memory, total and available."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except FileNotFoundError:
        # Not Linux: what is available is unknown, and only shown.
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return {"MemTotal": total, "MemAvailable": total}
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {name: sizes[name] for name in ("MemTotal", "MemAvailable")}


@ROUTES.get("/features")
async def _features(request: web.Request) -> web.Response:
    return web.json_response(FEATURES)


@ROUTES.get("/models")
async def _folders(request: web.Request) -> web.Response:
    return web.json_response(list(FOLDERS))


@ROUTES.get("/models/{folder}")
async def _models(request: web.Request) -> web.Response:
    folder = request.match_info["folder"]
    if folder not in FOLDERS:
        return web.Response(status=404)
    return web.json_response(worker_of(request).options.catalog.names(folder))


@ROUTES.get("/embeddings")
async def _embeddings(request: web.Request) -> web.Response:
    names = worker_of(request).options.catalog.names("embeddings")
    return web.json_response([os.path.splitext(name)[0] for name in names])


@ROUTES.get("/experiment/models")
async def _folders_with_paths(request: web.Request) -> web.Response:
    paths = worker_of(request).folders.model_paths()
    shown = [
        {"name": name, "folders": folders}
        for name, folders in paths.items()
        if name not in _NOT_MODELS
    ]
    return web.json_response(shown)


@ROUTES.get("/experiment/models/{folder}")
async def _models_with_sizes(request: web.Request) -> web.Response:
    worker, folder = worker_of(request), request.match_info["folder"]
    if folder not in FOLDERS:
        return web.Response(status=404)
    made = worker.folders.base.stat().st_ctime
    shown = [
        {
            "name": file.name,
            "pathIndex": 0,
            "modified": made,
            "created": made,
            "size": file.size_bytes,
        }
        for file in worker.options.catalog.in_folder(folder)
    ]
    return web.json_response(shown)


@ROUTES.get("/experiment/models/preview/{folder}/{path_index}/{filename}")
async def _model_preview(request: web.Request) -> web.Response:
    return web.Response(status=404)


@ROUTES.get("/view_metadata/{folder_name}")
async def _model_metadata(request: web.Request) -> web.Response:
    catalog, name = worker_of(request).options.catalog, request.query.get("filename", "")
    try:
        file = catalog.find(request.match_info["folder_name"], name)
    except FileNotFoundError:
        return web.Response(status=404)
    if not name.endswith(".safetensors"):
        return web.Response(status=404)
    return web.json_response({"modelspec.architecture": file.family})


@ROUTES.get("/extensions")
async def _extensions(request: web.Request) -> web.Response:
    # Those of the frontend; a simulated worker brings none.
    return web.json_response([])


@ROUTES.get("/i18n")
@ROUTES.get("/workflow_templates")
async def _nothing(request: web.Request) -> web.Response:
    return web.json_response({})
