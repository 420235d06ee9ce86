"""``/api/etn/*``: what the Krita plugin asks of the node pack comfyui-tooling-nodes.

The pack keeps pictures in the worker's memory under ids that any client may ask for. Here
a picture that is sent is an upload of its user, brought to whichever worker runs a prompt
that reads it, and one that a node left is the file of the user whose prompt it was. Of the
pack itself only questions that change nothing are passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from config.settings import Role
from gateway.blob_response import serve_blob
from gateway.comfy_api.files import output_record
from gateway.comfy_api.queue import json_body
from gateway.context import identity, services
from gateway.errors import BadRequest, Forbidden
from gateway.hub import MAX_CLIENT_ID
from gateway.json_body import json_reply
from gateway.names import FileName
from gateway.room import room_for_upload
from scheduler.states import InputFile
from scheduler.workflow.passed_pictures import PASSED, is_id

_CHUNK: Final = 64 * 1024
#: whatever a client called it: nothing that a browser would run
_PICTURE: Final[Mapping[str, str]] = {hdrs.CONTENT_TYPE: "application/octet-stream"}


def routes() -> list[web.RouteDef]:
    """Under ``/api`` alone, where the pack has them."""
    return [
        web.put("/api/etn/image/{id}", send_picture),
        web.get("/api/etn/image/{id}", picture),
        web.get("/api/etn/model_info", ask_pack),
        web.get("/api/etn/model_info/{folder}", ask_pack),
        web.get("/api/etn/languages", ask_pack),
        web.get("/api/etn/translate/{language}/{text:.+}", ask_pack),
        web.post("/api/etn/workflow/subscribe", subscribe),
        web.post("/api/etn/workflow/unsubscribe", unsubscribe),
        web.post("/api/etn/workflow/publish", publish),
    ]


async def send_picture(request: web.Request) -> web.Response:
    """Keep a picture under the id that the client chose; 200 where it has one already."""
    picture_id = _id(request)
    _refuse_viewer(request)
    svc, user = services(request), identity(request).user
    if await svc.input_files.find(user, PASSED, picture_id) is not None:
        return json_reply({"status": "cached"})
    limit = svc.settings().gateway.max_body
    room = await room_for_upload(svc, identity(request))
    if room is not None:
        limit = min(limit, room)
    blob = await svc.blobs.store(request.content.iter_chunked(_CHUNK), limit)
    file = InputFile(path=picture_id, sha256=blob.sha256, size_bytes=blob.size_bytes)
    await svc.input_files.put(user, PASSED, file)
    return json_reply({"status": "success"}, 201)


async def picture(request: web.Request) -> web.StreamResponse:
    """A picture of the caller's: one that a node left, or one that was sent."""
    picture_id = _id(request)
    svc, user = services(request), identity(request).user
    record = await output_record(svc, user, FileName(PASSED, "", picture_id))
    if record is not None:
        return await svc.agents.file(record, request, {})
    sent = await svc.input_files.find(user, PASSED, picture_id)
    path = None if sent is None else await svc.peers.path(sent)
    if sent is None or path is None:
        return json_reply({"error": "Image not found"}, 404)
    return serve_blob(request, path, sent.sha256, _PICTURE)


async def ask_pack(request: web.Request) -> web.StreamResponse:
    """Kinds of models, languages, a translation: of the first worker that has the pack."""
    agents = services(request).agents
    url = request.rel_url
    path = url.raw_path.lstrip("/")
    return await agents.worker_get(request, await agents.ready(), path, url.raw_query_string)


async def subscribe(request: web.Request) -> web.Response:
    """Tell this client of graphs that the caller's other clients publish."""
    svc, user = services(request), identity(request).user
    client_id = _client_id(await json_body(request))
    for message in svc.exchange.subscribe(user, client_id):
        svc.hub.send(user, client_id, message)
    return json_reply({"status": "success"})


async def unsubscribe(request: web.Request) -> web.Response:
    """Tell it no more."""
    client_id = _client_id(await json_body(request))
    services(request).exchange.unsubscribe(identity(request).user, client_id)
    return json_reply({"status": "success"})


async def publish(request: web.Request) -> web.Response:
    """Offer a graph to the caller's own clients.

    Raises:
        BadRequest: the body lacks a name, a client_id or a graph.
    """
    svc, user, body = services(request), identity(request).user, await json_body(request)
    name, workflow, client_id = body.get("name"), body.get("workflow"), _client_id(body)
    if not isinstance(name, str) or not isinstance(workflow, dict):
        raise BadRequest("To publish takes a name, a client_id and a workflow.")
    told = {"publisher": {"name": name, "id": client_id}, "workflow": workflow}
    message = {"type": "etn_workflow_published", "data": told}
    for subscriber in svc.exchange.publish(user, client_id, message):
        svc.hub.send(user, subscriber, message)
    return json_reply({"status": "success"})


def _client_id(body: Mapping[str, Any]) -> str:
    client_id = body.get("client_id")
    if not isinstance(client_id, str) or not 0 < len(client_id) <= MAX_CLIENT_ID:
        raise BadRequest(f"client_id must be a text of 1 to {MAX_CLIENT_ID} characters.")
    return client_id


def _id(request: web.Request) -> str:
    picture_id = request.match_info["id"]
    if not is_id(picture_id):
        raise BadRequest("A picture's id may have up to 128 letters, digits, - and _.")
    return picture_id


def _refuse_viewer(request: web.Request) -> None:
    if identity(request).role is Role.VIEWER:
        raise Forbidden("A viewer cannot send pictures; ask your admin for another role.")
