"""Prompts, queue, history, interrupt, free."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from simulator.comfyui.edge import ServerTrouble, read_json, worker_of

ROUTES = web.RouteTableDef()

_NO_PROMPT = {
    "type": "no_prompt",
    "message": "No prompt provided",
    "details": "No prompt provided",
    "extra_info": {},
}


@ROUTES.get("/prompt")
async def _get_prompt(request: web.Request) -> web.Response:
    return web.json_response(worker_of(request).queue_info())


@ROUTES.post("/prompt")
async def _post_prompt(request: web.Request) -> web.Response:
    worker = worker_of(request)
    sent = await read_json(request)
    # ComfyUI only asks whether its keys are in there: a list has none of them.
    body: dict[str, Any] = sent if isinstance(sent, dict) else {}
    worker.logs.write("got prompt")
    number = _number(request, body)
    if "prompt" not in body:
        return web.json_response({"error": _NO_PROMPT, "node_errors": {}}, status=400)
    checked = worker.validate(body["prompt"], body.get("partial_execution_targets"))
    if not checked.ok:
        refusal = {"error": checked.error, "node_errors": checked.node_errors}
        return web.json_response(refusal, status=400)
    extra_data: dict[str, Any] = body.get("extra_data", {})
    if "client_id" in body:
        extra_data["client_id"] = body["client_id"]
    chosen = str(body["prompt_id"]) if "prompt_id" in body else None
    prompt_id = worker.submit(checked, number, chosen, extra_data)
    answer = {"prompt_id": prompt_id, "number": number, "node_errors": checked.node_errors}
    return web.json_response(answer)


def _number(request: web.Request, body: dict[str, Any]) -> float:
    """The place in the queue; every submission without one of its own counts."""
    worker = worker_of(request)
    if "number" in body:
        try:
            return float(body["number"])
        except (TypeError, ValueError) as error:
            raise ServerTrouble from error
    number = worker.number
    worker.number += 1
    return -number if body.get("front") else number


@ROUTES.get("/queue")
async def _get_queue(request: web.Request) -> web.Response:
    return web.json_response(worker_of(request).queue.show())


@ROUTES.post("/queue")
async def _post_queue(request: web.Request) -> web.Response:
    queue, body = worker_of(request).queue, await read_json(request)
    if body.get("clear"):
        queue.clear()
    for prompt_id in body.get("delete", ()):
        queue.delete(prompt_id)
    return web.Response()


@ROUTES.post("/interrupt")
async def _interrupt(request: web.Request) -> web.Response:
    try:
        body = await request.json()
    except ValueError:
        body = {}
    worker_of(request).interrupt(body.get("prompt_id"))
    return web.Response()


@ROUTES.post("/free")
async def _free(request: web.Request) -> web.Response:
    body = await read_json(request)
    worker_of(request).free(
        unload_models=bool(body.get("unload_models")), free_memory=bool(body.get("free_memory"))
    )
    return web.Response()


@ROUTES.get("/history")
async def _get_history(request: web.Request) -> web.Response:
    limit, offset = request.query.get("max_items"), request.query.get("offset")
    try:
        shown = worker_of(request).queue.show_history(
            None if limit is None else int(limit), -1 if offset is None else int(offset)
        )
    except ValueError as error:
        raise ServerTrouble from error
    return web.json_response(shown)


@ROUTES.get("/history/{prompt_id}")
async def _get_history_of(request: web.Request) -> web.Response:
    prompt_id = request.match_info["prompt_id"]
    history = worker_of(request).queue.history
    return web.json_response({prompt_id: history[prompt_id]} if prompt_id in history else {})


@ROUTES.post("/history")
async def _post_history(request: web.Request) -> web.Response:
    history, body = worker_of(request).queue.history, await read_json(request)
    if body.get("clear"):
        history.clear()
    for prompt_id in body.get("delete", ()):
        history.pop(prompt_id, None)
    return web.Response()
