"""The fake worker's probe: the routes of docs/probe.md over figures that a test sets.

``POST /fake/probe`` takes ``figures`` (what ``/memory`` tells), ``after`` (what is left
of them by a trim or release), ``broken`` (every route answers 500) and ``mute`` (records
stay in the ring, no frame is sent); ``GET`` shows what was asked.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

ROOT = "/vramgate/probe"
EMPTY = {"allocated": 0, "reserved": 0, "peak_allocated": 0, "peak_reserved": 0, "models": []}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeProbe:
    def __init__(self, token: str, send: Callable[[str, str, Any], Awaitable[None]]) -> None:
        self.token = token
        self.send = send
        self.boot = str(uuid.uuid4())
        self.sid = ""
        self.seq = self.sent = 0
        self.ring: list[dict[str, Any]] = []
        self.asked: list[Any] = []
        self.figures: dict[str, Any] = dict(EMPTY)
        self.after: dict[str, Any] = {}
        self.broken = self.mute = False
        #: tells records with a trim; older probes do not know that they can
        self.tells = True
        self.mode = "enforced"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(ROOT, self._guarded(self.info)),
            web.get(f"{ROOT}/memory", self._guarded(self.memory)),
            web.post(f"{ROOT}/limit", self._guarded(self.limit)),
            web.post(f"{ROOT}/warm", self._guarded(self.warm)),
            web.post(f"{ROOT}/trim", self._guarded(self.free)),
            web.post(f"{ROOT}/release", self._guarded(self.free)),
            web.post(f"{ROOT}/validate", self._guarded(self.validate)),
            web.post(f"{ROOT}/subscribe", self._guarded(self.subscribe)),
            web.get(f"{ROOT}/records", self._guarded(self.records)),
            web.get(f"{ROOT}/capture/{{id}}", self._guarded(self.capture)),
            web.post("/fake/probe", self.set),
            web.get("/fake/probe", self.show),
        ]

    def _guarded(self, handler: _Handler) -> _Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                return web.Response(status=401)
            return web.Response(status=500) if self.broken else await handler(request)

        return guarded

    async def set(self, request: web.Request) -> web.Response:
        for name, value in (await request.json()).items():
            setattr(self, name, value)
        return web.Response()

    async def show(self, request: web.Request) -> web.Response:
        told = {"asked": self.asked, "sid": self.sid, "ring": self.ring, "boot": self.boot}
        return web.json_response({**told, "sent": self.sent, "seq": self.seq})

    async def info(self, request: web.Request) -> web.Response:
        told = {"probe": 1, "boot": self.boot, "limit": self.mode, "device": "cuda"}
        return web.json_response({**told, "last": self.seq, "missing": [], "version": "test"})

    async def memory(self, request: web.Request) -> web.Response:
        return web.json_response(self.figures)

    async def limit(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(["limit", body["bytes"], body["context"], body["told"]])
        return web.json_response({"limit": body["bytes"], "torch_bytes": 0, "mode": self.mode})

    async def warm(self, request: web.Request) -> web.Response:
        self.asked.append(["warm"])
        return web.json_response({"seconds": 0.1})

    async def free(self, request: web.Request) -> web.Response:
        self.asked.append([request.path.rpartition("/")[2]])
        before, self.figures = self.figures, {**self.figures, **self.after}
        told = {"before": before, "after": self.figures, "seconds": 0.1, "unloaded": []}
        after = (await request.json()).get("after")
        if self.tells and after is not None:
            self.ring = [record for record in self.ring if record["seq"] > after]
            told["told"] = {"boot": self.boot, "records": self.ring, "last": self.seq, "lost": 0}
        return web.json_response(told)

    async def validate(self, request: web.Request) -> web.Response:
        prompt = (await request.json())["prompt"]
        refused = [node for node in prompt if prompt[node]["class_type"] == "Fail"]
        errors = {node: {"errors": [], "class_type": "Fail"} for node in refused}
        kind = "prompt_outputs_failed_validation"
        if any(node["class_type"] == "Nobodys" for node in prompt.values()):
            kind, errors = "invalid_prompt", {}
        valid = not errors and kind != "invalid_prompt"
        told = {"valid": valid, "error": None if valid else {"type": kind, "message": "/srv/x"}}
        return web.json_response({**told, "node_errors": errors, "outputs": []})

    async def subscribe(self, request: web.Request) -> web.Response:
        self.sid = (await request.json())["sid"]
        return web.json_response({"boot": self.boot, "last": self.seq})

    async def records(self, request: web.Request) -> web.Response:
        after = int(request.query["after"])
        self.asked.append(["records", after])
        self.ring = [record for record in self.ring if record["seq"] > after]
        found = self.ring[: int(request.query.get("most", "1000"))]
        told = {"boot": self.boot, "records": found, "last": self.seq, "lost": 0}
        return web.json_response(told)

    async def capture(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != "kept-picture":
            return web.json_response({"error": "no such preview"}, status=404)
        return web.Response(body=b"\xff\xd8jpeg", content_type="image/jpeg")

    async def note(self, *records: dict[str, Any]) -> None:
        """Something happened: into the ring, and to the agent unless it is mute."""
        for record in records:
            self.seq += 1
            self.ring.append({"seq": self.seq, "at": 1.0, **record})
        if self.sid and not self.mute:
            told = self.ring[-len(records) :]
            data = {"boot": self.boot, "first": told[0]["seq"], "records": told}
            self.sent += 1
            await self.send(self.sid, "vramgate", data)


def from_environment(
    environment: dict[str, str], send: Callable[[str, str, Any], Awaitable[None]]
) -> FakeProbe | None:
    told = environment.get("VRAMGATE_PROBE")
    if not told:
        return None
    probe = FakeProbe(json.loads(told)["token"], send)
    probe.broken = "FAKE_PROBE_BROKEN" in environment
    return probe
