"""``/upload/image`` and ``/upload/mask``: a user's files, stored by content, named per user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import BodyPartReader, hdrs, web

from config.settings import Role
from gateway import pictures
from gateway.blobs import Blob
from gateway.comfy_api.files import output_record
from gateway.context import Identity, Services, identity, services
from gateway.errors import BadRequest, Forbidden, GatewayError, too_large
from gateway.json_body import NotJson, json_reply, read_json
from gateway.names import (
    FILE_TYPES,
    BadName,
    Escape,
    FileName,
    clean_filename,
    clean_folder,
    clean_path,
    clean_upload,
    counted,
    split_annotation,
)
from gateway.room import over_quota, room_for_upload, upload_quota
from scheduler.bookkeeping import own_top
from scheduler.states import InputFile

#: bytes of a form's field that is no file
_FIELD_LIMIT: Final = 64 * 1024
_FIELDS: Final = frozenset({"type", "subfolder", "overwrite", "original_ref"})
_CHUNK: Final = 64 * 1024
#: tries to find a free name; a user with more files of one name starts to replace the last
_MAX_COUNT: Final = 10_000


@dataclass(slots=True)
class _Form:
    """What a multipart body brought."""

    filename: str | None = None
    blob: Blob | None = None
    fields: dict[str, str] = field(default_factory=dict)


def routes() -> list[web.RouteDef]:
    """Bare paths; ``gateway.app`` adds them under ``/api`` too."""
    return [web.post("/upload/image", image), web.post("/upload/mask", mask)]


async def image(request: web.Request) -> web.Response:
    """Keep a file; the answer's ``name`` is the one it got."""
    form = await _read(request)
    if form.blob is None or not form.filename:
        return web.Response(status=400)
    wanted = _target(form)
    kept = await _name(request, wanted, form.blob, overwrite=_overwrites(form))
    return _answer(kept)


async def mask(request: web.Request) -> web.Response:
    """Keep the original's colours under the uploaded picture's alpha.

    Where there is no such original the answer is the same, but nothing is kept: ComfyUI
    does so too, and frontends upload masks of pictures that are long gone.
    """
    form = await _read(request)
    if form.blob is None or not form.filename:
        return web.Response(status=400)
    wanted = _target(form)
    svc, user = services(request), identity(request).user
    original = await _original(svc, user, _reference(form))
    if original is None:
        return _answer(wanted)
    drawn = await asyncio.to_thread(svc.blobs.path, form.blob.sha256)
    if drawn is None:
        raise BadRequest("The mask was lost on the way; send it again.")
    composed = await pictures.off_loop(pictures.masked, original, drawn)
    blob = await svc.blobs.store_bytes(composed)
    return _answer(await _name(request, wanted, blob, overwrite=_overwrites(form)))


async def _read(request: web.Request) -> _Form:
    """Stream the body's file to the store and collect the small fields.

    Raises:
        Forbidden: viewers send nothing.
        BadRequest: no multipart body.
        TooLarge: more than ``gateway.max_body`` in all.
        QuotaExceeded: more than the user may keep.
        DiskFull: there is no room.
    """
    if identity(request).role is Role.VIEWER:
        raise Forbidden("A viewer cannot upload files; ask your admin for another role.")
    if not request.content_type.startswith("multipart/"):
        raise BadRequest("An upload must be a multipart form with a file named image.")
    svc, form = services(request), _Form()
    left = await _allowance(svc, identity(request))
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader):
                await _take(svc, form, part, left)
    except (ValueError, AssertionError) as error:
        raise BadRequest("The multipart body is damaged.") from error
    return form


async def _allowance(svc: Services, who: Identity) -> _Allowance:
    """What this body may bring.

    Raises:
        QuotaExceeded: nothing.
        DiskFull: there is no room.
    """
    most = svc.settings().gateway.max_body
    room = await room_for_upload(svc, who)
    if room is None or room + _FIELD_LIMIT >= most:
        return _Allowance(most, too_large(most))
    # the fields beside the file and the form's own lines are not kept
    return _Allowance(room + _FIELD_LIMIT, over_quota(room))


@dataclass(slots=True)
class _Allowance:
    """Bytes that the body may still have, over all its parts."""

    limit_bytes: int
    refusal: GatewayError
    seen_bytes: int = 0

    def take(self, size: int) -> None:
        self.seen_bytes += size
        if self.seen_bytes > self.limit_bytes:
            raise self.refusal


async def _take(svc: Services, form: _Form, part: BodyPartReader, left: _Allowance) -> None:
    if part.name == "image" and form.blob is None:
        form.filename = part.filename
        form.blob = await svc.blobs.store(_chunks(part, left), left.limit_bytes)
        return
    text = bytearray()
    async for chunk in _chunks(part, left):
        if part.name in _FIELDS:
            text += chunk
        if len(text) > _FIELD_LIMIT:
            raise too_large(_FIELD_LIMIT)
    if part.name in _FIELDS:
        # of a field that comes twice ComfyUI reads the first
        form.fields.setdefault(str(part.name), text.decode("utf-8", "replace"))


async def _chunks(part: BodyPartReader, left: _Allowance) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK):
        left.take(len(chunk))
        yield bytes(chunk)


def _target(form: _Form) -> FileName:
    """The name that the form asks for.

    Raises:
        BadRequest: an unknown type, or a name or folder that leaves the user's space.
    """
    kind = form.fields.get("type") or "input"
    if kind not in FILE_TYPES:
        raise BadRequest(f"type must be one of {', '.join(FILE_TYPES)}.")
    try:
        folder = clean_folder(form.fields.get("subfolder", ""))
        # as an output that a worker makes would be called
        folder = own_top(folder) if kind == "output" else folder
        return FileName(kind, folder, clean_upload(form.filename or ""))
    except (BadName, Escape) as error:
        raise BadRequest(f"The file cannot be named so: {error}.") from error


def _overwrites(form: _Form) -> bool:
    return form.fields.get("overwrite") in ("true", "1")


async def _name(request: web.Request, wanted: FileName, blob: Blob, *, overwrite: bool) -> FileName:
    """Give the bytes the wanted name, or the next free one; the same bytes keep theirs."""
    svc, user = services(request), identity(request).user
    await _check_quota(svc, identity(request), blob)
    name = wanted
    if overwrite:
        await svc.input_files.put(user, name.type, _named(name, blob))
    else:
        name = await _take_free(svc, user, wanted, blob)
    svc.info.note_files(user)
    return name


async def _check_quota(svc: Services, who: Identity, blob: Blob) -> None:
    """Raises QuotaExceeded: other uploads have come meanwhile, or a mask is larger than it was."""
    limit = upload_quota(svc.settings(), who.user, who.group)
    if limit is None:
        return
    left = limit - await svc.input_files.used_bytes(who.user)
    if blob.size_bytes > left:
        raise over_quota(left)


async def _take_free(svc: Services, user: str, wanted: FileName, blob: Blob) -> FileName:
    """Take the first free name; uploads elsewhere may be after the same one."""
    name = wanted
    for count in range(1, _MAX_COUNT):
        taken = await svc.input_files.find(user, name.type, name.path)
        if taken is None and await output_record(svc, user, name) is None:
            if await svc.input_files.claim(user, name.type, _named(name, blob)):
                return name
            taken = await svc.input_files.find(user, name.type, name.path)
        if taken is not None and taken.sha256 == blob.sha256:
            break
        name = FileName(wanted.type, wanted.subfolder, counted(wanted.filename, count))
    await svc.input_files.put(user, name.type, _named(name, blob))
    return name


def _named(name: FileName, blob: Blob) -> InputFile:
    return InputFile(path=name.path, sha256=blob.sha256, size_bytes=blob.size_bytes)


def _answer(name: FileName) -> web.Response:
    body = {"name": name.filename, "subfolder": name.subfolder, "type": name.type}
    answer = json_reply(body)
    answer.headers[hdrs.CACHE_CONTROL] = "no-store"
    return answer


def _reference(form: _Form) -> FileName:
    """``original_ref`` of a mask.

    Raises:
        BadRequest: it is no JSON object with a usable file name.
    """
    try:
        ref = read_json(form.fields.get("original_ref", ""))
        if not isinstance(ref, dict):
            raise NotJson("it is no object")
        name, annotated = split_annotation(str(ref.get("filename") or ""))
        kind = annotated or str(ref.get("type") or "output")
        if kind not in FILE_TYPES:
            raise BadRequest(f"original_ref.type must be one of {', '.join(FILE_TYPES)}.")
        return _referred(kind, clean_folder(str(ref.get("subfolder") or "")), name)
    except NotJson as error:
        raise BadRequest(f"original_ref must be a JSON object: {error}.") from error
    except BadName as error:
        raise BadRequest(f"original_ref: {error}.") from error
    except Escape as error:
        raise Forbidden(f"original_ref: {error}.") from error


def _referred(kind: str, folder: str, name: str) -> FileName:
    """The name may have folders in front (``clipspace/x.png``), below the given one."""
    clean_filename(name)  # refuses what names no file
    path = clean_path(name)
    inner, _, filename = path.rpartition("/")
    return FileName(kind, "/".join(part for part in (folder, inner) if part), filename)


async def _original(svc: Services, user: str, named: FileName) -> Path | None:
    """The picture under a mask: fetched from an agent, or an upload."""
    owner, named = svc.mates.owner(user, named)
    record = await output_record(svc, owner, named)
    if record is not None:
        limit_bytes = svc.settings().gateway.max_body
        kept = await svc.agents.keep_file(record, svc.blobs, limit_bytes)
        return None if kept is None else await asyncio.to_thread(svc.blobs.path, kept.sha256)
    upload = await svc.input_files.find(owner, named.type, named.path)
    return None if upload is None else await svc.peers.path(upload)
