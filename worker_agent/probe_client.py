"""Talks to the probe inside one worker (docs/probe.md); the only place with its routes.

Errors:
    ProbeFailed: it refuses, or answers what no probe would; the worker itself goes on.
    └─ Busy: it does that between prompts only, and one runs.
    WorkerUnreachable: nobody answers at all.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from scheduler.states import MemoryLimit
from worker_agent import loose_json
from worker_agent.comfy_client import WorkerUnreachable

#: seconds; a worker's event loop may stand still for some
_PATIENCE: Final = aiohttp.ClientTimeout(total=5.0)
#: weights that move to host memory take 1.4 to 4.4 s for 6.5 GiB, measured on an H200, and
#: loading kernels as long
_LONG: Final = aiohttp.ClientTimeout(total=60.0, sock_connect=5.0)
_SLOW_PATHS: Final = frozenset({"/limit", "/release", "/warm"})
_ROOT: Final = "/vramgate/probe"
#: records taken with one request
MOST_RECORDS: Final = 1024
_T = TypeVar("_T")


class ProbeFailed(Exception):
    """The worker's probe did not do what it was asked; its log may say why."""


class Busy(ProbeFailed):
    """It does that between prompts only, and one runs."""


class ProbeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which probe it is, and what it can do."""

    #: id of this life of the process
    boot: str
    #: what it can make of a limit
    limit: MemoryLimit
    #: torch's word for where it computes: ``cuda``, ``cpu``, …
    device: str
    #: highest sequence number so far
    last: int = 0
    version: str = ""
    comfyui: str = ""
    #: hooks that this ComfyUI does not have
    missing: tuple[str, ...] = ()


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model in the worker's memory."""

    #: the file it came from, relative to its folder of models; else the name of its class
    name: str
    bytes: int = 0
    #: of that on the device
    loaded_bytes: int = 0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Device memory of the worker's process, bytes."""

    allocated: int
    #: torch's pool, what it has not handed out included
    reserved: int
    #: since the running or the last prompt began
    peak_allocated: int = 0
    peak_reserved: int = 0
    #: on the device beyond ``reserved``; None: the probe cannot tell
    context: int | None = None
    models: tuple[LoadedModel, ...] = ()


class Limited(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a limit."""

    mode: MemoryLimit


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Records in the order of their ``seq``."""

    boot: str
    records: tuple[dict[str, Any], ...]
    last: int = 0
    #: of those asked for, gone
    lost: int = 0


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """What giving memory back did."""

    before: Memory
    after: Memory
    seconds: float = 0.0
    #: records, where they were asked for and the probe knows that they can be
    told: Batch | None = None


class Warmed(msgspec.Struct, frozen=True, kw_only=True):
    """It has run a few kernels."""

    seconds: float


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """From here on records come by themselves."""

    boot: str
    last: int


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What ComfyUI itself says of a prompt, without queueing it."""

    valid: bool
    error: dict[str, Any] | None = None
    node_errors: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: tuple[str, ...] = ()


class ProbeClient:
    """One worker's probe. The session is shared and not closed here."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._base = url.rstrip("/") + _ROOT
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def info(self) -> ProbeInfo | None:
        """What it is; None: that worker has no probe that listens."""
        async with self._asked("GET", "") as reply:
            if reply.status == 404:
                return None
            return await _read(reply, ProbeInfo)

    async def memory(self) -> Memory:
        """What the process holds."""
        return await self._call("GET", "/memory", Memory)

    async def limit(self, bytes_: int | None, context: int, told: int | None) -> MemoryLimit:
        """Keep the process within so many bytes of device footprint; None: no limit.

        Args:
            bytes_: from the next prompt on.
            context: of them, what lies outside torch.
            told: what ComfyUI's memory manager is shown as all there is; None: the card as it is.

        Raises:
            Busy: a prompt runs and holds more.
        """
        body = {"bytes": bytes_, "context": context, "told": told}
        return (await self._call("POST", "/limit", Limited, body)).mode

    async def warm(self) -> None:
        """Have the kernels loaded that a process's first prompt would wait for.

        Raises:
            Busy: a prompt runs.
        """
        await self._call("POST", "/warm", Warmed, {})

    async def trim(self, after: int) -> Freed:
        """Give back what the allocator holds unused, and tell the records later than ``after``.

        Raises:
            Busy: a prompt runs.
        """
        return await self._call("POST", "/trim", Freed, {"after": after})

    async def release(self) -> Freed:
        """Unload all models, drop all caches, and give the memory back.

        Raises:
            Busy: a prompt runs.
        """
        body: dict[str, Any] = {"keep": [], "bytes": None}
        return await self._call("POST", "/release", Freed, body)

    async def subscribe(self, sid: str) -> Subscribed:
        """Send records to that socket from now on, and to no other."""
        return await self._call("POST", "/subscribe", Subscribed, {"sid": sid})

    async def records(self, after: int) -> Batch:
        """Records later than ``after``; it drops those up to there."""
        path = f"/records?after={after}&most={MOST_RECORDS}"
        return await self._call("GET", path, Batch)

    async def validate(self, prompt: Mapping[str, Any]) -> Judgement:
        """Judge a prompt in the worker's names."""
        return await self._call("POST", "/validate", Judgement, {"prompt": prompt})

    async def capture(self, picture: str) -> bytes | None:
        """A preview's JPEG; None: it is not kept (any more)."""
        async with self._asked("GET", f"/capture/{picture}") as reply:
            if reply.status == 404:
                return None
            if reply.status != 200:
                raise ProbeFailed(f"/capture answered {reply.status}")
            return await reply.read()

    async def _call(
        self, method: str, path: str, type_: type[_T], body: Mapping[str, Any] | None = None
    ) -> _T:
        async with self._asked(method, path, body) as reply:
            return await _read(reply, type_)

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(
                method,
                URL(self._base + path, encoded=True),
                # the standard encoder keeps NaN, which ComfyUI takes
                data=None if body is None else json.dumps(body),
                headers=self._headers,
                timeout=_LONG if path in _SLOW_PATHS else _PATIENCE,
                allow_redirects=False,
            ) as reply:
                yield reply
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise WorkerUnreachable(f"{self._base}: {type(error).__name__}: {error}") from error


async def _read(reply: aiohttp.ClientResponse, type_: type[_T]) -> _T:
    match reply.status:
        case 200:
            pass
        case 401:
            raise ProbeFailed(
                "the probe refuses our token: agent.workers[].probe_token must be the one of "
                "that ComfyUI's VRAMGATE_PROBE"
            )
        case 409:
            raise Busy(f"{reply.url.path}: a prompt runs")
        case status:
            raise ProbeFailed(f"{reply.url.path} answered {status}")
    try:
        return msgspec.convert(loose_json.decode(await reply.read()), type_)
    except (ValueError, msgspec.ValidationError) as error:
        raise ProbeFailed(f"{reply.url.path} answered no such thing: {error}") from error
