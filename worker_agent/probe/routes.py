"""The probe's routes in ComfyUI's own server, for the agent alone (docs/probe.md, *Routes*)."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from .asked import BadRequest, body_of, limit_of, names_of, number_of, record_of, size_of
from .control import Control
from .hooks import Hooks
from .limit import BadLimit, dynamic_vram
from .settings import BadSettings, Settings
from .turn import Busy
from .validate import validate

if TYPE_CHECKING:
    from aiohttp import web

ROOT = "/vramgate/probe"
#: the contract's version
PROTOCOL = 1
#: records of one answer unless the request says otherwise, and at most
_RECORDS, _MOST_RECORDS = 1_024, 16_384
#: how long a request waits for a preview that is being made, and how often it looks, seconds; the
#: agent waits for its answer longer than that
_MAKING_S, _LOOK_S = 3.0, 0.02

Handler = Callable[[Any], Awaitable[Any]]


class Ring(Protocol):
    """Records that wait to be acknowledged."""

    boot: str

    @property
    def last(self) -> int:
        """The number of the newest record."""

    def after(self, seq: int, most: int) -> list[dict[str, Any]]:
        """The oldest ``most`` records with a number above ``seq``."""

    def acknowledge(self, seq: int) -> None:
        """Drop the records up to ``seq``."""


class Flush(Protocol):
    """Sends records to a socket."""

    def subscribe(self, sid: str) -> int:
        """From now on to this one; the number of the last record before."""


class Gallery(Protocol):
    """Captured previews."""

    def jpeg(self, picture: str) -> bytes | None:
        """The preview of this id, if it is kept."""

    def is_making(self, picture: str) -> bool:
        """Whether the preview of this id is about to be there."""


class Troubles(Protocol):
    """Errors of the probe itself."""

    count: int

    def add(self, where: str, error: BaseException) -> None:
        """Count one."""


class Records(Protocol):
    """What the routes need of the recording half."""

    @property
    def settings(self) -> Settings:
        """Those in force."""

    @property
    def ring(self) -> Ring:
        """The records."""

    @property
    def flush(self) -> Flush:
        """Where they go."""

    @property
    def gallery(self) -> Gallery:
        """The previews."""

    @property
    def hooks(self) -> Hooks:
        """Which hooks are in place."""

    @property
    def troubles(self) -> Troubles:
        """What went wrong."""

    def catch_up(self) -> None:
        """Put all that was noted until now into the ring."""

    def change(self, patch: dict[str, Any]) -> Settings:
        """Take settings; raises ``BadSettings``."""


class Routes:
    """The handlers. None of them lets an error of the probe's into ComfyUI's server."""

    def __init__(
        self, records: Records, control: Control, execution: Any, versions: dict[str, str]
    ) -> None:
        """``execution`` is ComfyUI's module; ``versions`` those of ``comfyui``, ``torch``, the pack."""
        self._records = records
        self._control = control
        self._execution = execution
        self._versions = versions

    def add(self, server: Any) -> None:
        """Open the routes on ComfyUI's ``PromptServer``; none at all where there is no token."""
        token = self._records.settings.token
        if token is None:
            return
        shown = f"Bearer {token}".encode()
        for method, path, handler in (
            ("GET", "", self.about),
            ("GET", "/memory", self.memory),
            ("POST", "/limit", self.limit),
            ("POST", "/release", self.release),
            ("POST", "/trim", self.trim),
            ("POST", "/warm", self.warm),
            ("POST", "/validate", self.validate),
            ("POST", "/subscribe", self.subscribe),
            ("GET", "/records", self.records),
            ("POST", "/settings", self.settings),
            ("GET", "/capture/{id}", self.capture),
        ):
            guarded = self._guarded(handler, shown)
            server.routes.route(method, ROOT + path)(guarded)
            if not path:
                server.routes.route(method, ROOT + "/")(guarded)

    async def about(self, request: web.Request) -> dict[str, Any]:
        """What this probe is, and what it can do here."""
        records, control = self._records, self._control
        return {
            "probe": PROTOCOL,
            **self._versions,
            "python": platform.python_version(),
            "device": control.card.kind,
            "allocator": control.card.allocator,
            "limit": control.limiter.mode(),
            "dynamic_vram": dynamic_vram(),
            "hooks": list(records.hooks.present),
            "missing": list(records.hooks.missing),
            "pid": os.getpid(),
            "boot": records.ring.boot,
            "last": records.ring.last,
            "errors": records.troubles.count,
        }

    async def memory(self, request: web.Request) -> dict[str, Any]:
        """What the process holds."""
        return self._control.memory.figures()

    async def limit(self, request: web.Request) -> dict[str, Any]:
        """Keep the process within a number of bytes."""
        return await self._control.limit(limit_of(await body_of(request)))

    async def release(self, request: web.Request) -> dict[str, Any]:
        """Give memory back."""
        asked = await body_of(request)
        return await self._control.release(names_of(asked, "keep"), size_of(asked, "bytes"))

    async def trim(self, request: web.Request) -> dict[str, Any]:
        """Give back what no tensor needs; with ``after``, the records later than that as well."""
        after = record_of(await body_of(request), "after")
        freed = await self._control.trim()
        return freed if after is None else {**freed, "told": self._told(after, _RECORDS)}

    async def warm(self, request: web.Request) -> dict[str, Any]:
        """Load the kernels that prompts use."""
        return await self._control.warm()

    async def validate(self, request: web.Request) -> dict[str, Any]:
        """Judge a prompt."""
        asked = await body_of(request)
        if not isinstance(asked.get("prompt"), dict):
            raise BadRequest("prompt must be an object: nodes by id")
        return await validate(self._execution, asked["prompt"])

    async def subscribe(self, request: web.Request) -> dict[str, Any]:
        """Send records to a socket."""
        sid = (await body_of(request)).get("sid")
        if not isinstance(sid, str) or not sid:
            raise BadRequest("sid must be the client id of a socket of this ComfyUI")
        last = self._records.flush.subscribe(sid)
        return {"boot": self._records.ring.boot, "last": last}

    async def records(self, request: web.Request) -> dict[str, Any]:
        """Records that the socket missed; those before them are acknowledged by asking."""
        most = min(max(1, number_of(request, "most", _RECORDS)), _MOST_RECORDS)
        return self._told(number_of(request, "after", 0), most)

    def _told(self, after: int, most: int) -> dict[str, Any]:
        ring = self._records.ring
        ring.acknowledge(after)
        # who asks after a prompt's end wants its own record now
        self._records.catch_up()
        found = ring.after(after, most)
        return {
            "boot": ring.boot,
            "records": found,
            "last": ring.last,
            "lost": sum(one["lost"] for one in found if one["kind"] == "gap"),
        }

    async def settings(self, request: web.Request) -> dict[str, Any]:
        """Change what is recorded."""
        return self._records.change(await body_of(request)).shown()

    async def capture(self, request: web.Request) -> web.Response:
        """A captured preview; one that is told of and not made yet is waited for."""
        gallery, name = self._records.gallery, request.match_info["id"]
        until = time.monotonic() + _MAKING_S
        # another thread makes it
        while gallery.is_making(name) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        picture = gallery.jpeg(name)
        if picture is None:
            return _answer({"error": "no such preview (any more)"}, 404)
        response: web.Response = _web().Response(
            body=picture, content_type="image/jpeg", headers={"Cache-Control": "no-store"}
        )
        return response

    def _guarded(self, handler: Handler, shown: bytes) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, shown):
                return _answer({"error": "show this worker's probe token"}, 401)
            try:
                answer = await handler(request)
            except Busy:
                return _answer({"error": "a prompt runs; ask again when it has ended"}, 409)
            except (BadRequest, BadLimit, BadSettings) as error:
                return _answer({"error": str(error)}, 400)
            except Exception as error:
                self._records.troubles.add("route " + handler.__name__, error)
                # its text may hold a value of a prompt
                return _answer({"error": f"the probe failed: {type(error).__name__}"}, 500)
            return answer if isinstance(answer, _web().StreamResponse) else _answer(answer, 200)

        return guarded


def _answer(body: Any, status: int) -> web.Response:
    # a type that JSON has no word for is told as text: ComfyUI's node errors hold what packs put there
    text = json.dumps(body, default=str)
    answer: web.Response = _web().Response(
        text=text, status=status, content_type="application/json"
    )
    return answer


def _web() -> Any:
    from aiohttp import web  # ComfyUI's own; not there where only our tests import this

    return web
