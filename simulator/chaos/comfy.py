"""A ComfyUI process of the simulated world: one prompt at a time, on a card that counts bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from simulator.chaos.card import Card, CardFull
from simulator.chaos.loop import VirtualLoop
from simulator.chaos.truth import CONTEXT_BYTES, Fate, Truth

_GIB: Final = 2**30
#: how much slower n prompts on one card are together
_SLOWDOWN: Final = 0.35


class Witness(Protocol):
    """Who is told what really happened."""

    def truth(self, key: str) -> Truth:
        """What the job of that key does."""
        ...

    def finished(self, key: str, uuid: str) -> None:
        """The prompt ran to its end, and well."""
        ...

    def grew(self, key: str, card: Card, pid: int, start_bytes: int) -> None:
        """Its process took memory; ``start_bytes``: what it held when the prompt began."""
        ...

    def out_of_memory(self, key: str, card: Card, wanted_bytes: int) -> None:
        """It did not fit on its card."""
        ...


class Interrupted(Exception):
    """The prompt was told to stop."""


class Socket:
    """The worker's end of one WebSocket, and what the other end reads from it."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()
        self.open = True

    def send(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send one message."""
        if self.open:
            text = msgspec.json.encode({"type": kind, "data": data}).decode()
            self._frames.put_nowait(text)

    def close(self) -> None:
        """Break it; frames on their way still arrive."""
        if self.open:
            self.open = False
            self._frames.put_nowait(None)

    async def next(self) -> str | None:
        """The next frame; None: it is closed."""
        return await self._frames.get()


class ComfyProcess:
    """One life of a worker."""

    def __init__(
        self,
        loop: VirtualLoop,
        pid: int,
        card: Card,
        witness: Witness,
        up_at: float,
        on_end: Callable[[], None],
    ) -> None:
        self.pid = pid
        self.card = card
        self.up_at = up_at
        self.alive = True
        self.ended = asyncio.Event()
        #: as by SIGSTOP: it neither computes nor answers
        self.frozen = False
        self.thawed = asyncio.Event()
        self.pending: deque[tuple[str, str, str]] = deque()
        self.running: tuple[str, str, str] | None = None
        self.history: dict[str, dict[str, Any]] = {}
        self.sockets: dict[str, Socket] = {}
        #: requests that came while it was frozen
        self.waiting: list[Callable[[], None]] = []
        self._loaded: dict[str, int] = {}
        self._witness = witness
        self._start_bytes = CONTEXT_BYTES
        self._interrupt = False
        self._free = False
        self._wake = asyncio.Event()
        self._loop = loop
        self._on_end = on_end
        card.resize(pid, CONTEXT_BYTES)
        self._task = loop.apart(self._work())

    # ── what it is asked ─────────────────────────────────────────────────────

    def post(self, uuid: str, key: str, sid: str) -> None:
        """Queue a prompt."""
        self.pending.append((uuid, key, sid))
        self._wake.set()

    def queue(self) -> dict[str, Any]:
        """``/queue`` as ComfyUI words it, as far as anybody reads it."""
        running = [[0, self.running[0]]] if self.running else []
        return {
            "queue_running": running,
            "queue_pending": [[n, row[0]] for n, row in enumerate(self.pending)],
        }

    def interrupt(self, uuid: str) -> None:
        """Stop the prompt if it is the one that runs."""
        if self.running is not None and self.running[0] == uuid:
            self._interrupt = True

    def unqueue(self, uuid: str) -> None:
        """Drop the prompt if it waits."""
        self.pending = deque(row for row in self.pending if row[0] != uuid)

    def free(self) -> None:
        """Give memory back once no prompt runs."""
        self._free = True
        self._wake.set()

    def stats(self) -> dict[str, Any]:
        """``/system_stats``, as far as anybody reads it."""
        torch = self.card.held.get(self.pid, 0) - CONTEXT_BYTES
        device = {
            "name": "Simulated",
            "type": "cuda",
            "vram_total": self.card.total_bytes,
            "vram_free": self.card.total_bytes - self.card.used_bytes,
            "torch_vram_total": max(0, torch),
            "torch_vram_free": 0,
        }
        return {"devices": [device]}

    # ── what is done to it ───────────────────────────────────────────────────

    def kill(self) -> None:
        """End it at once: its memory is free, its prompts are gone."""
        if not self.alive:
            return
        self.alive = False
        self.card.leave(self.pid)
        self._task.cancel()
        for socket in self.sockets.values():
            socket.close()
        self.ended.set()
        self._on_end()

    def freeze(self) -> None:
        """Stop it as by SIGSTOP."""
        self.frozen = True
        self.thawed.clear()
        self.card.computing.discard(self.pid)

    def thaw(self) -> None:
        """Let it go on; what was asked meanwhile is done now."""
        self.frozen = False
        self.thawed.set()
        for request in self.waiting:
            if self.alive:
                request()
        self.waiting.clear()

    # ── working ──────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        while True:
            if self._free and not self.pending:
                self._free = False
                await self._pass(0.3)
                self._loaded.clear()
                self.card.resize(self.pid, CONTEXT_BYTES)
            if not self.pending:
                self._wake.clear()
                await self._wake.wait()
                continue
            self.running = self.pending.popleft()
            self._interrupt = False
            await self._run(*self.running)
            self.running = None

    async def _run(self, uuid: str, key: str, sid: str) -> None:
        truth = self._witness.truth(key)
        self._start_bytes = self.card.held[self.pid]
        self._say(sid, "execution_start", {"prompt_id": uuid})
        messages: list[list[Any]] = [["execution_start", {"prompt_id": uuid}]]
        word = "success"
        try:
            await self._execute(truth, uuid, key, sid)
            self._witness.finished(key, uuid)
            messages.append(["execution_success", {"prompt_id": uuid}])
        except Interrupted:
            word = "error"
            messages.append(["execution_interrupted", {"prompt_id": uuid, "node_id": "1"}])
        except CardFull as error:
            word = "error"
            messages.append(["execution_error", _error(uuid, "torch.OutOfMemoryError", error)])
            self._witness.out_of_memory(key, self.card, truth.need_bytes)
            self._loaded.clear()
            self.card.resize(self.pid, CONTEXT_BYTES)
        except ValueError as error:
            word = "error"
            messages.append(["execution_error", _error(uuid, "ValueError", error)])
        finally:
            self.card.computing.discard(self.pid)
        self.history[uuid] = {
            "outputs": {},
            "status": {"status_str": word, "completed": word == "success", "messages": messages},
            "meta": {},
        }
        self._say(sid, *messages[-1])
        self._say(sid, "executing", {"node": None, "prompt_id": uuid})

    async def _execute(self, truth: Truth, uuid: str, key: str, sid: str) -> None:
        self._say(sid, "executing", {"node": "1", "prompt_id": uuid})
        for name, bytes_ in truth.models.items():
            if name not in self._loaded:
                # a LoRA is folded into the weights of its checkpoint
                kept = 0 if name.startswith("loras/") else bytes_
                self._take(truth, kept)
                await self._pass(bytes_ / _GIB * truth.load_seconds_per_gib)
                self._loaded[name] = kept
        self._take(truth, truth.activation_bytes)
        self._witness.grew(key, self.card, self.pid, self._start_bytes)
        self.card.computing.add(self.pid)
        for step in range(truth.steps):
            beside = len(self.card.computing - {self.pid})
            await self._pass(truth.step_seconds * (1 + _SLOWDOWN * beside))
            if step == truth.steps // 2:
                await self._half_way(truth)
            self.card.computing.add(self.pid)
            self._say(sid, "progress", {"value": step + 1, "max": truth.steps, "prompt_id": uuid})

    async def _half_way(self, truth: Truth) -> None:
        match truth.fate:
            case Fate.NODE_ERROR:
                raise ValueError("this node always fails")
            case Fate.KILLS:
                self.kill()
                await asyncio.sleep(0)
            case Fate.HANGS:
                self.card.computing.discard(self.pid)
                await asyncio.Event().wait()

    def _take(self, truth: Truth, more_bytes: int) -> None:
        """Take room beside the loaded models; only a full card makes it unload others.

        Raises:
            CardFull: not even then is there room.
        """
        held = self.card.held[self.pid]
        wanted = CONTEXT_BYTES + sum(self._loaded.values()) + more_bytes
        try:
            self.card.resize(self.pid, max(held, wanted))
        except CardFull:
            for name in [name for name in self._loaded if name not in truth.models]:
                del self._loaded[name]
            wanted = CONTEXT_BYTES + sum(self._loaded.values()) + more_bytes
            self.card.resize(self.pid, wanted)

    async def _pass(self, seconds: float) -> None:
        """Let time pass, unless frozen; hear an interrupt at its end.

        Raises:
            Interrupted: the prompt was told to stop.
        """
        await asyncio.sleep(seconds)
        while self.frozen:
            await self.thawed.wait()
        if self._interrupt:
            self._interrupt = False
            raise Interrupted

    def _say(self, sid: str, kind: str, data: Mapping[str, Any]) -> None:
        socket = self.sockets.get(sid)
        if socket is not None:
            socket.send(kind, data)


def _error(uuid: str, kind: str, error: Exception) -> dict[str, Any]:
    return {
        "prompt_id": uuid,
        "node_id": "1",
        "node_type": "Chaos",
        "exception_type": kind,
        "exception_message": str(error) or kind,
        "traceback": [],
    }
