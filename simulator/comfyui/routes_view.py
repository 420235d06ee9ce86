"""``GET /view``: files of a worker, as they are or re-encoded."""

from __future__ import annotations

import io
import mimetypes
from pathlib import Path

from aiohttp import web
from PIL import Image

from simulator.comfyui.edge import worker_of
from simulator.comfyui.folders import is_inside

ROUTES = web.RouteTableDef()

_PREVIEW_FORMATS = ("webp", "jpeg")
#: What a browser would run is sent as a download.
_ACTIVE_TYPES = {
    "text/html",
    "text/html-sandboxed",
    "application/xhtml+xml",
    "text/javascript",
    "text/css",
}


@ROUTES.get("/view")
async def _view(request: web.Request) -> web.StreamResponse:
    if "filename" not in request.query:
        return web.Response(status=404)
    found = _locate(request)
    if isinstance(found, web.Response):
        return found
    if not found.is_file():
        return web.Response(status=404)
    if "preview" in request.query:
        return _preview(request, found)
    if request.query.get("channel", "rgba") in ("rgb", "a"):
        return _channel(found, request.query["channel"])
    kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
    if kind in _ACTIVE_TYPES:
        kind = "application/octet-stream"
    headers = {"Content-Disposition": _disposition(found), "Content-Type": kind}
    return web.FileResponse(found, headers=headers)


def _locate(request: web.Request) -> Path | web.Response:
    folders, query = worker_of(request).folders, request.query
    name, directory = folders.annotated(query["filename"])
    if not name or name.startswith("/") or ".." in name:
        return web.Response(status=400)
    directory = directory or folders.of_type(query.get("type", "output"))
    if directory is None:
        return web.Response(status=400)
    folder = directory / query.get("subfolder", "")
    if not is_inside(folder, directory):
        return web.Response(status=403)
    return folder / Path(name).name


def _preview(request: web.Request, path: Path) -> web.Response:
    wanted = request.query["preview"].split(";")
    channel = request.query.get("channel", "")
    # JPEG has no alpha: whoever asks for it gets WebP.
    kind = wanted[0] if wanted[0] in _PREVIEW_FORMATS and "a" not in channel else "webp"
    quality = int(wanted[-1]) if wanted[-1].isdigit() else 90
    with Image.open(path) as image:
        shown = image.convert("RGB") if kind == "jpeg" or channel == "rgb" else image
        return _encoded(shown, path, kind, quality=quality)


def _channel(path: Path, channel: str) -> web.Response:
    with Image.open(path) as image:
        if channel == "rgb":
            return _encoded(image.convert("RGB"), path, "png")
        alpha = image.convert("RGBA").getchannel("A")
        mask = Image.new("RGBA", image.size)
        mask.putalpha(alpha)
        return _encoded(mask, path, "png")


def _encoded(image: Image.Image, path: Path, kind: str, **options: int) -> web.Response:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    headers = {"Content-Disposition": _disposition(path)}
    return web.Response(body=buffer.getvalue(), content_type=f"image/{kind}", headers=headers)


def _disposition(path: Path) -> str:
    return f'filename="{path.name}"'
