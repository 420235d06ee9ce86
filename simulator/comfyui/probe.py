"""The probe of a simulated worker: the real one's routes over simulated memory (docs/probe.md)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, Final, cast

from aiohttp import web

from simulator.comfyui.device import Device
from simulator.comfyui.recorded import Recorder
from simulator.comfyui.websocket import Hub
from simulator.comfyui.worker import Worker
from worker_agent.probe.control import Control
from worker_agent.probe.hooks import Hooks
from worker_agent.probe.limit import Limit
from worker_agent.probe.ring import Ring
from worker_agent.probe.routes import Routes
from worker_agent.probe.settings import Settings
from worker_agent.probe.turn import Busy

#: Seconds of an in-process release, and of one that ran while a prompt was on its last lines.
_RELEASE_S: Final = 0.35
_LAST_LINES_S: Final = 0.5
#: The real one acts as soon as the prompts' thread is through.
_LOOK_S: Final = 0.002
#: Seconds between two frames, and between two samples of memory.
_FLUSH_S: Final = 1.0
_SAMPLE_S: Final = 0.1
#: Records of one frame.
_MOST: Final = 256
_VERSIONS: Final = {"version": "simulated", "comfyui": "0.3.64", "torch": "simulated"}


class SimulatedProbe:
    """What hooks and routes of the real probe do, for one simulated worker."""

    def __init__(self, settings: Settings) -> None:
        """Its routes exist only with a token in ``settings``."""
        self.recorder = Recorder(Ring(uuid.uuid4().hex[:16]), settings)
        self._control = _Control(self.recorder)
        self._sid: str | None = None
        self._sent = 0
        self._worker: Worker | None = None

    def routes(self) -> web.RouteTableDef:
        """The probe's own."""
        table = web.RouteTableDef()
        routes = Routes(
            cast(Any, _Records(self)), cast(Control, self._control), self._execution(), _VERSIONS
        )
        routes.add(SimpleNamespace(routes=table))
        return table

    def watch(self, worker: Worker) -> list[asyncio.Task[None]]:
        """Follow a worker that has just started; the tasks run until cancelled."""
        self._worker = self._control.worker = worker
        self.recorder.device = worker.device
        worker.executor.watch = self.recorder
        return [asyncio.create_task(self._flush(worker.hub)), asyncio.create_task(self._sample())]

    def subscribe(self, sid: str) -> int:
        """From now on frames go to this socket; the number of the last record before."""
        self._sid, self._sent = sid, self.recorder.ring.last
        return self._sent

    def _execution(self) -> Any:
        def validate_prompt(prompt: dict[str, Any]) -> tuple[bool, Any, list[str], dict[str, Any]]:
            worker = self._worker
            assert worker is not None  # noqa: S101  requests come after the start
            found = worker.validate(prompt, None)
            return found.ok, found.error, list(found.outputs), dict(found.node_errors)

        return SimpleNamespace(validate_prompt=validate_prompt)

    async def _flush(self, hub: Hub) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            ring = self.recorder.ring
            while self._sid is not None and hub.is_connected(self._sid):
                records = ring.after(self._sent, _MOST)
                if not records:
                    break
                self._sent = records[-1]["seq"]
                data = {"boot": ring.boot, "first": records[0]["seq"], "records": records}
                hub.send("vramgate", data, self._sid)

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self.recorder.sample()


class _Records:
    """The recording half, as the routes want it."""

    def __init__(self, probe: SimulatedProbe) -> None:
        self._recorder = probe.recorder
        self.ring = probe.recorder.ring
        self.flush = SimpleNamespace(subscribe=probe.subscribe)
        self.gallery = SimpleNamespace(jpeg=lambda picture: None)
        self.hooks = Hooks()
        self.troubles = SimpleNamespace(count=0, add=_raise)

    @property
    def settings(self) -> Settings:
        return self._recorder.settings

    def catch_up(self) -> None:
        """Everything is recorded at once here."""

    def change(self, patch: dict[str, Any]) -> Settings:
        self._recorder.change(self.settings.changed(patch))
        return self.settings


class _Control:
    """The acting half."""

    def __init__(self, recorder: Recorder) -> None:
        self.worker: Worker | None = None
        self._recorder = recorder
        self.memory = SimpleNamespace(figures=self.figures)

    @property
    def _running(self) -> Worker:
        assert self.worker is not None  # noqa: S101  requests come after the start
        return self.worker

    @property
    def _device(self) -> Device:
        return self._running.device

    @property
    def card(self) -> Any:
        kind = "cpu" if self._device.gpu is None else "cuda"
        return SimpleNamespace(kind=kind, allocator="" if kind == "cpu" else "native")

    @property
    def limiter(self) -> Any:
        mode = "observed" if self._device.gpu is None else "enforced"
        return SimpleNamespace(mode=lambda: mode)

    def figures(self) -> dict[str, Any]:
        device = self._device
        card = device.gpu.read() if device.gpu is not None else None
        return {
            "allocated": device.allocated_bytes,
            "reserved": device.reserved_bytes,
            "peak_allocated": device.peak_allocated,
            "peak_reserved": device.peak_reserved,
            "context": None,
            "device_free": None if card is None else card.free_bytes,
            "device_total": None if card is None else card.total_bytes,
            "limit": device.limit.size,
            "models": [
                {
                    "name": file.name,
                    "class": file.family,
                    "bytes": file.size_bytes,
                    "loaded_bytes": loaded,
                }
                for file, loaded in device.models()
            ],
            "host_rss": 0,
        }

    async def limit(self, limit: Limit) -> dict[str, Any]:
        most = limit.torch_bytes
        over = most is not None and self._device.allocated_bytes > most
        if over and self._running.queue.running:
            raise Busy
        self._device.keep_to(limit)
        return {
            "limit": limit.size,
            "told": limit.told,
            "torch_bytes": most,
            "mode": self.limiter.mode(),
        }

    async def release(self, keep: Collection[str], size: int | None) -> dict[str, Any]:
        before = await self._between_prompts()
        began, unloaded = time.perf_counter(), []
        goal = None if size is None else max(0, self._device.reserved_bytes - size)
        self._device.release()
        for file, _ in self._device.models():
            if goal is not None and self._device.reserved_bytes <= goal:
                break
            if file.name not in keep:
                self._device.unload(file.name)
                self._device.release()
                unloaded.append(file.name)
        if not keep and size is None:
            self._running.executor.forget()
        await self._device.wait(_RELEASE_S)
        return self._freed(before, began, unloaded)

    async def trim(self) -> dict[str, Any]:
        before = await self._between_prompts()
        began = time.perf_counter()
        self._device.release()
        return self._freed(before, began, [])

    async def warm(self) -> dict[str, Any]:
        await self._between_prompts()
        return {"seconds": 0.0}

    def _freed(self, before: dict[str, Any], began: float, unloaded: list[str]) -> dict[str, Any]:
        seconds = round(time.perf_counter() - began, 6)
        return {
            "before": before,
            "after": self.figures(),
            "seconds": seconds,
            "unloaded": unloaded,
        }

    async def _between_prompts(self) -> dict[str, Any]:
        """Wait for a prompt's last lines; the figures then.

        Raises:
            Busy: a prompt runs on.
        """
        until = time.monotonic() + _LAST_LINES_S
        while self._running.queue.running:
            if not self._recorder.is_over or time.monotonic() > until:
                raise Busy
            await asyncio.sleep(_LOOK_S)
        return self.figures()


def _raise(where: str, error: BaseException) -> None:
    """Nothing may go wrong in the simulator unseen."""
    raise error
