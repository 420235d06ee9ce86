"""What ``bench.gateway`` measures on each side: prompts, GETs, idle sockets, previews."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from bench.gateway_load import Loader, LoadError, spread
from bench.gateway_sides import Side
from bench.machine import cpu_seconds, rss_bytes
from tests.clients import Client, Socket, ends, image_prompt, sampling_prompt

#: prompts that one client has under way in a burst
_BURST: Final = 20
#: steps of the prompt whose previews are sent around
_STEPS: Final = 20
_END_S: Final = 60.0
#: seconds before a prompt: a hundred idle sockets hear of the end of the one before, in this
#: process, and of ComfyUI's after that end, so that the next side's answer would wait for them
_REST_S: Final = 0.03
Figures = dict[str, Any]


@dataclass(slots=True)
class Turns:
    """Figures of all rounds, by name and side."""

    sides: Sequence[Side]
    loader: Loader
    #: seconds
    waits: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    #: one each round
    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)

    async def prompts(self, sockets: Mapping[str, Socket], count: int) -> None:
        """``count`` prompts on each side, one after the other, turn by turn; then a burst."""
        for n in range(count):
            for side in self.sides:
                took = await _one_prompt(side.client, sockets[side.name], n)
                for what, seconds in took.items():
                    self.waits.setdefault(what, {}).setdefault(side.name, []).append(seconds)
        for side in self.sides:
            rate = await _burst(side.client, sockets[side.name])
            self._keep("prompts", side.name, {"per_s": rate})

    async def gets(self, seconds: float) -> None:
        """Each GET on each side, eight connections that never rest.

        ``cpu_us`` is what one costs the process that is asked: it says more than a rate where
        others keep the machine busy.
        """
        for what in self.sides[0].gets:
            for side in self.sides:
                raw = side.gets[what]
                before = 0.0 if side.pid is None else cpu_seconds(side.pid)
                found = await self.loader.rate(side.port, raw, seconds=seconds)
                if side.pid is not None:
                    used = cpu_seconds(side.pid) - before
                    found["cpu_us"] = round(used * 1e6 / max(found["count"], 1))
                expected = {"200", "304"} if "If-None-Match" in what else {"200"}
                if not set(found["statuses"]) <= expected:
                    raise LoadError(f"{side.name} answers {what} with {found['statuses']}")
                self._keep(what, side.name, found)

    async def previews(self, count: int) -> None:
        """One sampling prompt whose previews go to ``count`` sockets of one user."""
        seed = 1 + len(self.rounds.get("previews", {}).get("direct", []))
        for side in self.sides:
            raw = side.get("/ws?clientId=$KEY", **UPGRADE)
            await self.loader.listen(side.port, raw, count)
            # without a client_id: to everybody (ComfyUI), to all of the user (here)
            graph = sampling_prompt(seed, steps=_STEPS)
            answer = await side.client.post("/prompt", {"prompt": graph})
            if answer.status != 200:
                raise LoadError(f"{side.name} refuses the sampling prompt: {answer.status}")
            self._keep("previews", side.name, await self.loader.heard())
            await self.loader.hang_up()

    async def idle_sockets(self, count: int, stack: AsyncExitStack) -> None:
        """Memory per idle socket; they stay open until ``stack`` closes."""
        for side in self.sides:
            if side.pid is None:
                continue
            # the first sockets pay for what all of them share
            for n in range(5):
                await _idle(side.client, f"first{n}", stack)
            await asyncio.sleep(0.5)
            before = rss_bytes(side.pid)
            for n in range(count):
                await _idle(side.client, f"idle{n}", stack)
            await asyncio.sleep(1)
            kib = (rss_bytes(side.pid) - before) / count / 1024
            self._keep("idle_socket", side.name, {"kib": kib})

    def figures(self) -> dict[str, Figures]:
        """Everything by name: each side's figures, and the ratio of gateway to direct."""
        found: dict[str, Figures] = {
            what: {side: spread(took) for side, took in by_side.items()}
            for what, by_side in self.waits.items()
        }
        for what, by_side in self.rounds.items():
            found[what] = {side: _median(rows) for side, rows in by_side.items()}
        for figures in found.values():
            figures["ratio"] = _ratio(figures)
        return found

    def _keep(self, what: str, side: str, row: Figures) -> None:
        self.rounds.setdefault(what, {}).setdefault(side, []).append(row)


UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "$KEY",
}


async def _idle(client: Client, name: str, stack: AsyncExitStack) -> None:
    """As a browser's: it offers deflate and greets, which is what makes such sockets dear."""
    url = f"{client.url}/ws?clientId={name}"
    connecting = client.http.ws_connect(url, headers=client.headers, compress=15)
    socket = await stack.enter_async_context(connecting)
    flags = {"supports_preview_metadata": True, "supports_progress_text_metadata": True}
    await socket.send_json({"type": "feature_flags", "data": flags})


async def _one_prompt(client: Client, socket: Socket, n: int) -> dict[str, float]:
    """Seconds from POST to the answer, to execution_start, to the end."""
    body = {"prompt": image_prompt(n, prefix=f"bench{n % 7}"), "client_id": client.client_id}
    await asyncio.sleep(_REST_S)
    begin = time.perf_counter()
    answer = await client.post("/prompt", body)
    accepted = time.perf_counter() - begin
    answer.raise_for_status()
    prompt_id = (await answer.json())["prompt_id"]
    started = 0.0
    async with asyncio.timeout(_END_S):
        while True:
            message = await socket.ws.receive()
            now = time.perf_counter()
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            frame = json.loads(message.data)
            if frame["type"] == "execution_start" and frame["data"]["prompt_id"] == prompt_id:
                started = now - begin
            if ends(frame, prompt_id):
                return {"accept": accepted, "start": started, "done": now - begin}


async def _burst(client: Client, socket: Socket) -> float:
    """Prompts per second when several are posted at once."""
    begin = time.perf_counter()
    graphs = [image_prompt(n, prefix="burst") for n in range(_BURST)]
    wanted = set(await asyncio.gather(*(client.queue(graph) for graph in graphs)))
    async with asyncio.timeout(_END_S):
        while wanted:
            message = await socket.ws.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                frame = json.loads(message.data)
                wanted -= {one for one in wanted if ends(frame, one)}
    return _BURST / (time.perf_counter() - begin)


def _median(rows: Sequence[Figures]) -> Figures:
    """The middle of each figure over the rounds."""
    named = [name for name, value in rows[0].items() if isinstance(value, int | float)]
    return {name: round(statistics.median(row[name] for row in rows), 3) for name in named}


def _ratio(by_side: Mapping[str, Figures]) -> float | None:
    """Gateway to direct: of the rate where there is one, else of the time or size."""
    direct, gateway = by_side.get("direct", {}), by_side.get("gateway", {})
    for name in ("per_s", "p50_ms", "kib"):
        if direct.get(name) and name in gateway:
            return round(float(gateway[name] / direct[name]), 3)
    return None
