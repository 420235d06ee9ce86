"""What the gateway costs: one client directly at a worker and through vramgate, turn by turn.

Both run at once on this machine, and nginx beside them where it is installed. Such machines
are noisy: read the ratios. ``--queued N`` measures everything again with N prompts of others
and N of the bench's own user waiting. Nothing here passes or fails; ``must_hold`` sets the
figures beside what they must reach.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.gateway_load import Loader, request
from bench.gateway_sides import CROWD, BareWorker, Gate, Nginx, Side, answering, prepare
from bench.gateway_turns import Figures, Turns
from bench.machine import describe
from scheduler.redis_ledger import RedisLedger
from tests.clients import Client, image_prompt

_IDLE: Final = 100
_FAN_OUT: Final = 200
_OTHERS: Final = "with_others_queued"
_OWN: Final = "with_own_queued"
#: seconds within which the gateway and the scheduler have read a changed config file
_RELOAD_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    rounds: int
    prompts: int
    seconds: float
    queued: int
    comfyui: str | None


async def run(options: Options) -> dict[str, Any]:
    """Start everything, measure, and stop it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        direct = options.comfyui
        bare_pid = None
        if direct is None:
            bare = BareWorker(folder)
            stack.callback(bare.stop)
            direct, bare_pid = bare.url, bare.process.pid
        await answering(direct)
        gate = Gate(folder, options.comfyui)
        stack.callback(gate.stack.stop)
        await asyncio.to_thread(gate.stack.start)
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        sides = [
            Side("direct", Client(http, direct), bare_pid),
            Side("gateway", Client(http, gate.url, gate.headers()), gate.stack.pids()["gateway"]),
        ]
        if Nginx.installed():
            nginx = Nginx(folder, direct)
            stack.callback(nginx.stop)
            await answering(nginx.url)
            sides.append(Side("nginx", Client(http, nginx.url), None))
        for side in sides:
            await prepare(side)
        loader = await Loader.start()
        stack.push_async_callback(loader.stop)
        return await report(options, sides, loader, gate)


async def report(options: Options, sides: list[Side], loader: Loader, gate: Gate) -> dict[str, Any]:
    """Everything that is measured."""
    found: dict[str, Any] = {
        "machine": describe(),
        "direct": "a simulated worker" if options.comfyui is None else options.comfyui,
        "rounds": options.rounds,
        "nginx": "measured" if Nginx.installed() else "not installed: left out",
    }
    figures = await measure(options, sides, loader)
    found["figures"] = figures
    found["must_hold"] = must_hold(figures, real=options.comfyui is not None)
    if options.queued:
        queued = Queued(gate, loader, options.queued)
        await queued.others()
        figures_then = await measure(options, sides, loader)
        found[_OTHERS] = {"queued": options.queued, "figures": figures_then}
        found[_OTHERS]["slower"] = slower(figures, figures_then)
        await queued.own(sides[1].client)
        figures_then = await measure(options, sides, loader)
        found[_OWN] = {"queued": 2 * options.queued, "figures": figures_then}
        found[_OWN]["slower"] = slower(figures, figures_then)
    return found


async def measure(options: Options, sides: list[Side], loader: Loader) -> dict[str, Figures]:
    """All figures once: rounds of prompts (with the idle sockets open), GETs and previews."""
    turns = Turns(sides, loader)
    async with AsyncExitStack() as open_:
        await turns.idle_sockets(_IDLE, open_)
        sockets = {one.name: await open_.enter_async_context(one.client.socket()) for one in sides}
        for _ in range(options.rounds):
            await turns.prompts(sockets, options.prompts)
    for _ in range(options.rounds):
        await turns.gets(options.seconds)
        if options.comfyui is None:
            await turns.previews(_FAN_OUT)
    return turns.figures()


class Queued:
    """Puts prompts into the queue that stay there."""

    def __init__(self, gate: Gate, loader: Loader, count: int) -> None:
        self._gate = gate
        self._loader = loader
        self._count = count

    async def others(self) -> None:
        """``count`` prompts of other users, whom no worker serves."""
        for number in range(1, CROWD + 1):
            await self._post(self._gate.headers(number), self._count // CROWD)

    async def own(self, client: Client) -> None:
        """``count`` prompts of the bench's user: queued while no worker serves it, then held.

        Held ones are listed and counted as the others, and let the measured ones start.
        """
        self._gate.hold_up(held_up=True)
        deadline = time.monotonic() + _RELOAD_S
        while await self._starts(client):
            if time.monotonic() > deadline:
                raise TimeoutError("the changed config file was not read")
        await self._post(client.headers, self._count)
        ledger = RedisLedger.connect(self._gate.stack.state()["redis"], "default")
        try:
            jobs = await ledger.unfinished("bench")
            for start in range(0, len(jobs), 100):
                batch = jobs[start : start + 100]
                await asyncio.gather(*(ledger.hold("bench", job.id, held=True) for job in batch))
        finally:
            await ledger.close()
        self._gate.hold_up(held_up=False)
        while not await self._starts(client):
            if time.monotonic() > deadline + 10 * _RELOAD_S:
                raise TimeoutError("the changed config file was not read")

    async def _starts(self, client: Client) -> bool:
        """Whether a prompt of this user starts within a second; it is cancelled if not."""
        prompt_id = await client.queue(image_prompt(prefix="probe"))
        try:
            await client.ended(prompt_id, within_s=1)
        except TimeoutError:
            await client.post("/queue", {"delete": [prompt_id]})
            return False
        return True

    async def _post(self, headers: Mapping[str, str], count: int) -> None:
        body = json.dumps({"prompt": image_prompt(prefix="waits"), "client_id": "crowd"}).encode()
        raw = request("/prompt", headers=headers, body=body)
        port = self._gate.stack.port
        found = await self._loader.rate(port, raw, seconds=600, most=count)
        if set(found["statuses"]) != {"200"}:
            raise RuntimeError(f"prompts that should wait were answered {found['statuses']}")


def must_hold(figures: Mapping[str, Figures], *, real: bool) -> dict[str, Any]:
    """The figures that have a limit, beside it; ``real``: direct is a real ComfyUI."""
    gateway = {what: by_side["gateway"] for what, by_side in figures.items()}

    def ratio(what: str, least: float) -> dict[str, Any]:
        found = figures[what]["ratio"] or 0.0
        return {"ratio": found, "at_least": least, "holds": found >= least}

    def at_most(what: str, name: str, most: float) -> dict[str, Any]:
        found = gateway[what][name]
        return {name: found, "at_most": most, "holds": found <= most}

    limits = {
        "accept p50": at_most("accept", "p50_ms", 3.0),
        "accept p99": at_most("accept", "p99_ms", 15.0),
        "submit → start p50": at_most("start", "p50_ms", 8.0),
        "/queue": ratio("/queue", 0.35),
        "/history/{id}": ratio("/history/{id}", 0.35),
        "/view 1 MB": ratio("/view 1 MB", 0.5),
        "idle socket": at_most("idle_socket", "kib", 30.0),
    }
    # a simulated worker answers this from memory, which no real one does
    return limits | {what: ratio(what, 100.0) for what in figures if real and "object_info" in what}


def slower(before: Mapping[str, Figures], then: Mapping[str, Figures]) -> dict[str, Any]:
    """How many times slower each figure of each side is than before; direct's is the noise."""
    found: dict[str, Any] = {}
    for what, by_side in then.items():
        if what == "idle_socket":  # the second time they take what the first have left
            continue
        row: dict[str, float] = {}
        for side, figures in by_side.items():
            if side == "ratio":
                continue
            name = next((n for n in ("per_s", "p50_ms", "kib") if n in figures), None)
            old, new = before[what][side].get(name), figures.get(name)
            if name is None or not old or not new:
                continue
            row[side] = round(old / new if name == "per_s" else new / old, 2)
        found[what] = row
    return found


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; figures are their middle")
    parser.add_argument("--prompts", type=int, default=40, help="prompts a round on each side")
    parser.add_argument(
        "--seconds", type=float, default=0.25, help="seconds per GET, round and side"
    )
    parser.add_argument("--queued", type=int, default=0, help="measure again with N waiting")
    parser.add_argument("--comfyui", help="a real ComfyUI's URL to stand for direct, and behind us")
    parser.add_argument("--json", action="store_true", help="one line instead of indented")
    given = parser.parse_args()
    options = Options(given.rounds, given.prompts, given.seconds, given.queued, given.comfyui)
    found = asyncio.run(run(options))
    print(json.dumps(found, indent=None if given.json else 2, ensure_ascii=False))


if __name__ == "__main__":
    main()
