"""Uploads of pictures and masks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from simulator.comfyui.edge import ServerTrouble, worker_of
from simulator.comfyui.folders import Folders, is_inside

ROUTES = web.RouteTableDef()

Save = Callable[[FileField, Path], None]


@ROUTES.post("/upload/image")
async def _upload_image(request: web.Request) -> web.Response:
    return await _upload(request, _save_as_it_is)


@ROUTES.post("/upload/mask")
async def _upload_mask(request: web.Request) -> web.Response:
    fields = await _fields(request)
    folders = worker_of(request).folders
    original = _original(folders, json.loads(fields.get("original_ref", "null")))
    if isinstance(original, web.Response):
        return original

    def save(upload: FileField, path: Path) -> None:
        # Without its original a mask is forgotten, and the answer is 200 all the same.
        if original.is_file():
            _save_with_alpha(original, upload, path)

    return await _upload(request, save)


async def _fields(request: web.Request) -> Any:
    if not request.content_type.startswith("multipart/"):
        raise ServerTrouble
    return await request.post()


async def _upload(request: web.Request, save: Save) -> web.Response:
    fields = await _fields(request)
    folders, file_type = worker_of(request).folders, fields.get("type", "input") or "input"
    directory = folders.of_type(file_type)
    if directory is None:
        raise ServerTrouble
    upload = fields.get("image")
    if not isinstance(upload, FileField) or not upload.filename:
        return web.Response(status=400)
    subfolder = fields.get("subfolder", "")
    folder = directory / subfolder
    if not is_inside(folder / upload.filename, directory):
        return web.Response(status=400)
    folder.mkdir(parents=True, exist_ok=True)
    overwrite = fields.get("overwrite") in ("true", "1")
    path, known = (folder / upload.filename, False) if overwrite else _free_name(folder, upload)
    if not known:
        save(upload, path)
    return web.json_response({"name": path.name, "subfolder": subfolder, "type": file_type})


def _free_name(folder: Path, upload: FileField) -> tuple[Path, bool]:
    """Where to put an upload, and whether the same bytes lie there already."""
    content = upload.file.read()
    upload.file.seek(0)
    path, number = folder / upload.filename, 1
    while path.exists():
        if path.read_bytes() == content:
            return path, True
        plain = Path(upload.filename)
        path = folder / f"{plain.stem} ({number}){plain.suffix}"
        number += 1
    return path, False


def _save_as_it_is(upload: FileField, path: Path) -> None:
    path.write_bytes(upload.file.read())


def _original(folders: Folders, reference: Any) -> Path | web.Response:
    if not reference:
        return web.Response(status=400)
    name, directory = folders.annotated(reference["filename"])
    if not name or name.startswith("/") or ".." in name:
        return web.Response(status=400)
    directory = directory or folders.of_type(reference.get("type", "output"))
    if directory is None:
        return web.Response(status=400)
    folder = directory / (reference.get("subfolder") or "")
    if not is_inside(folder, directory):
        return web.Response(status=403)
    return folder / Path(name).name


def _save_with_alpha(original: Path, upload: FileField, path: Path) -> None:
    """The original's colours and metadata with the mask's transparency."""
    with Image.open(original) as image, Image.open(io.BytesIO(upload.file.read())) as mask:
        info = PngInfo()
        if isinstance(image, PngImageFile):
            for key, value in image.text.items():
                info.add_text(key, value)
        masked = image.convert("RGBA")
        alpha = mask.convert("RGBA").getchannel("A")
        masked.putalpha(alpha if alpha.size == masked.size else alpha.resize(masked.size))
        masked.save(path, format="PNG", pnginfo=info, compress_level=4)
