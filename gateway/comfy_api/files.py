"""``/view``: a user's own files, wherever they lie, and the outputs that mates share.

Uploads are read from the content store by the name the user gave them; outputs are found
by their record and streamed from the agent that has them. Another user's file, or one
that merely lies on a worker's disk, has no name here and is a 404.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from unicodedata import normalize
from urllib.parse import quote

from aiohttp import hdrs, web

from gateway import pictures
from gateway.blob_response import serve_blob
from gateway.context import Services, identity, services
from gateway.errors import UpstreamDown
from gateway.media_types import media_type
from gateway.names import (
    FILE_TYPES,
    BadName,
    Escape,
    FileName,
    clean_filename,
    clean_folder,
    split_annotation,
)
from scheduler.bookkeeping import RESERVED
from scheduler.ledger import FileRecord
from scheduler.states import InputFile

#: what a browser shows without running anything of it, besides pictures, sound and film: all
#: else (pages, styles, scripts, PDF, mail archives, whatever comes next) is shown to nobody
#: under this site's name
_PASSIVE: Final = frozenset(
    {
        "text/plain",
        "text/csv",
        "text/markdown",
        "application/json",
        "application/octet-stream",
        "application/zip",
        "application/gzip",
    }
)
_PASSIVE_KINDS: Final = frozenset({"image", "audio", "video", "font", "model"})
#: whatever the system's table says of them
_ACTIVE_SUFFIXES: Final = frozenset(
    f".{suffix}"
    for suffix in (
        *(
            "html",
            "htm",
            "shtml",
            "xhtml",
            "xht",
            "svg",
            "svgz",
            "xml",
            "xsl",
            "xslt",
            "rdf",
            "rss",
        ),
        *("atom", "mathml", "js", "mjs", "cjs", "css", "pdf", "mht", "mhtml", "eml", "swf", "wasm"),
        *("hta", "htc", "vbs", "vml", "webmanifest", "appcache"),
    )
)


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [web.get("/view", view)]


async def view(request: web.Request) -> web.StreamResponse:
    """A file, its preview, or one of its channels."""
    named = named_file(request.query)
    if isinstance(named, int):
        return web.Response(status=named)
    svc = services(request)
    owner, named = svc.mates.owner(identity(request).user, named)
    record = await output_record(svc, owner, named)
    if record is not None:
        return await _output(request, record, named.filename)
    upload = await svc.input_files.find(owner, named.type, named.path)
    if upload is None:
        return web.Response(status=404)
    return await stored_file(request, named, upload)


async def stored_file(
    request: web.Request, named: FileName, upload: InputFile
) -> web.StreamResponse:
    """An upload's bytes as the query asks for them; 404 where no gateway has them any more."""
    path = await services(request).peers.path(upload)
    if path is None:
        return web.Response(status=404)
    return await _from_blob(request, named.filename, path, upload.sha256)


async def _output(request: web.Request, record: FileRecord, filename: str) -> web.StreamResponse:
    """From this disk or the worker; what a worker that is down cannot draw, from its file."""
    svc, headers, drawn = services(request), _output_headers(request, filename), _drawn(request)
    near = None if drawn else await svc.near.serve(request, record, headers)
    if near is not None:
        return near
    try:
        return await svc.agents.file(record, request, headers)
    except UpstreamDown:
        if not drawn:
            raise
    blob = await svc.agents.keep_file(record, svc.blobs, svc.settings().gateway.max_body)
    path = None if blob is None else await asyncio.to_thread(svc.blobs.path, blob.sha256)
    if blob is None or path is None:
        return web.Response(status=404)
    return await _from_blob(request, filename, path, blob.sha256)


async def output_record(svc: Services, user: str, named: FileName) -> FileRecord | None:
    """The record of a user's output, from the ledger or, where that forgot it, the store."""
    if named.type == "input":
        return None
    for folder, filename in _spellings(named):
        where = (named.type, folder, filename)
        found = await svc.ledger.file(user, *where) or await svc.archive.file(user, *where)
        if found is not None:
            return found
    return None


def _spellings(named: FileName) -> Iterator[tuple[str, str]]:
    """Folder and name as they are asked for, then with accents apart.

    Names of ours are composed (NFC); a worker's are as their prefix was typed, on a Mac apart.
    """
    yield named.subfolder, named.filename
    if not named.path.isascii():
        yield normalize("NFD", named.subfolder), normalize("NFD", named.filename)


def named_file(query: Mapping[str, str]) -> FileName | int:
    """The file that a query names, or the status that ComfyUI answers to such a query.

    ComfyUI drops folders in front of a ``filename``; one of a mate's is kept, for lists of
    outputs name their files so (``@mia/x.png``).
    """
    raw = query.get("filename")
    if raw is None:
        return 404
    name, annotated = split_annotation(raw)
    kind = annotated or query.get("type", "output")
    if kind not in FILE_TYPES:
        return 400
    try:
        filename = clean_filename(name)
        subfolder = clean_folder(query.get("subfolder") or _folder_of_mate(kind, name))
    except BadName:
        # ComfyUI refuses these; whatever else names no file is one that is not there
        return 400 if not name or name.startswith("/") or ".." in name else 404
    except Escape:
        return 403
    return FileName(kind, subfolder, filename)


def _folder_of_mate(kind: str, name: str) -> str:
    shared = kind == "output" and name.startswith(RESERVED)
    return posixpath.dirname(name.replace("\\", "/")) if shared else ""


def _drawn(request: web.Request) -> bool:
    """Whether a picture is to be drawn anew, which its worker does."""
    return "preview" in request.query or request.query.get("channel") in ("rgb", "a")


def _output_headers(request: web.Request, filename: str) -> dict[str, str]:
    """Headers of a worker's answer: what it drew anew is no longer what the name says."""
    spec, channel = request.query.get("preview"), request.query.get("channel", "")
    if spec is not None:
        drawn = "image/" + pictures.preview_format(spec, channel)
    elif channel in ("rgb", "a"):
        drawn = "image/png"
    else:
        return safe_headers(filename)
    return {hdrs.CONTENT_TYPE: drawn, **_disposition(filename)}


async def _from_blob(
    request: web.Request, filename: str, path: Path, digest: str
) -> web.StreamResponse:
    headers = safe_headers(filename)
    spec, channel = request.query.get("preview"), request.query.get("channel", "")
    if spec is not None:
        body, kind = await pictures.off_loop(pictures.preview, path, spec, channel)
        return web.Response(body=body, content_type=kind, headers=_disposition(filename))
    if channel in ("rgb", "a"):
        work = pictures.only_rgb if channel == "rgb" else pictures.only_alpha
        body = await pictures.off_loop(work, path)
        return web.Response(body=body, content_type="image/png", headers=_disposition(filename))
    return serve_blob(request, path, digest, headers)


def safe_headers(filename: str) -> dict[str, str]:
    """Type and disposition of a user's file; active content becomes a sandboxed download."""
    kind = media_type(filename) or "application/octet-stream"
    suffix = posixpath.splitext(filename)[1].lower()
    if _is_passive(kind) and suffix not in _ACTIVE_SUFFIXES:
        return {hdrs.CONTENT_TYPE: kind, **_disposition(filename)}
    return {
        hdrs.CONTENT_TYPE: kind if kind == "image/svg+xml" else "application/octet-stream",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'self'",
        **_disposition(filename, attachment=True),
    }


def _is_passive(kind: str) -> bool:
    if kind.endswith("+xml"):
        return False
    return kind in _PASSIVE or kind.partition("/")[0] in _PASSIVE_KINDS


def _disposition(filename: str, *, attachment: bool = False) -> dict[str, str]:
    """``filename="…"`` as ComfyUI sends it, plus the UTF-8 form where ASCII cannot say it."""
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\' else "_" for sign in filename)
    value = f'filename="{plain}"'
    if plain != filename:
        value += f"; filename*=UTF-8''{quote(filename, safe='')}"
    return {hdrs.CONTENT_DISPOSITION: f"attachment; {value}" if attachment else value}
