"""A worker's own word on a prompt, for gateways: a dry run through its probe."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from worker_agent.comfy_client import WorkerUnreachable
from worker_agent.files import bad_gateway
from worker_agent.probe_client import ProbeClient, ProbeFailed

#: ComfyUI looked at every node: at least one output would run, or each was refused
_WHOLE = (None, "prompt_outputs_failed_validation")

FindProbe = Callable[[str], ProbeClient | None]


class Judge:
    """The endpoint's handler."""

    def __init__(self, probe_of: FindProbe) -> None:
        """Ask the probes that ``probe_of`` knows (None: no such worker here, or it has none)."""
        self._probe_of = probe_of

    async def validate(self, request: web.Request) -> web.StreamResponse:
        """``POST /v1/workers/{worker}/validate``: ``{"prompt"}`` → ``{"refused": [node id]}``.

        422 where the worker does not know all of its classes, 404 where no probe can be asked.
        """
        probe = self._probe_of(request.match_info["worker"])
        if probe is None:
            raise web.HTTPNotFound(text="this worker has no probe")
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, object])
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text="the body must be a JSON object") from error
        prompt = body.get("prompt")
        if not isinstance(prompt, dict):
            raise web.HTTPBadRequest(text="prompt must be an object: nodes by id")
        try:
            judged = await probe.validate(prompt)
        except WorkerUnreachable as error:
            raise bad_gateway(error) from error
        except ProbeFailed as error:
            raise web.HTTPBadGateway(text=str(error)) from error
        if (judged.error or {}).get("type") not in _WHOLE:
            raise web.HTTPUnprocessableEntity(text="this worker cannot judge the prompt")
        return web.json_response({"refused": list(judged.node_errors)})
