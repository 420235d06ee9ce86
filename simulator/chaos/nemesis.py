"""What makes the world bad: strikes at random, each kind at its own pace, and heals again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from scheduler.ledger import OrderKind
from simulator.chaos.faults import KINDS, Mix
from simulator.chaos.tuning import tuned
from simulator.chaos.world import Service, World

_GIB: Final = 2**30
#: a process that decides nothing for so long is struck all the same, seconds
_AMBUSH_S: Final = 30.0
Strike = Callable[[Random], Awaitable[None]]


class Nemesis:
    """All faults of one episode."""

    def __init__(self, world: World, mix: Mix) -> None:
        self._world = world
        self._mix = mix
        self._tasks: list[asyncio.Task[None]] = []
        self._strikes: dict[str, Strike] = {
            "crash": self._crash,
            "stop": self._stop,
            "pause": self._pause,
            "worker": self._worker,
            "network": self._network,
            "server": self._server,
            "clock": self._clock,
            "orders": self._orders,
            "nvml": self._nvml,
            "foreign": self._foreign,
            "store": self._store,
            "settings": self._settings,
        }

    def start(self) -> None:
        """Begin to strike."""
        for kind in self._mix.kinds:
            strike = self._strikes.get(kind)
            if strike is not None:
                self._tasks.append(asyncio.create_task(self._forever(kind, strike)))

    async def heal(self) -> None:
        """End all faults, and make sure that everything runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        world = self._world
        world.weather.lost = world.weather.reply_lost = 0.0
        world.weather.doubled = world.weather.slow = 0.0
        world.archive.down, world.archive.failing, world.archive.slowest_s = False, 0.0, 0.01
        for host in world.hosts.values():
            host.reader.broken = host.reader.stale = False
            host.reader.factor = 1.0
            for card in host.cards:
                card.take_foreign(0)
            for process in host.processes.values():
                if process.frozen:
                    process.thaw()
        for service in world.services:
            world.loop.resume(service.actor)
            if service.line is not None:
                service.line.cut = False
            if not service.running:
                service.start()

    async def _forever(self, kind: str, strike: Strike) -> None:
        rng = self._world.rng(f"fault {kind}")
        mean_s = KINDS[kind][0] * self._mix.pace
        while True:
            await asyncio.sleep(rng.expovariate(1 / mean_s))
            self._world.count(f"fault {kind}")
            await strike(rng)

    def _pick(self, rng: Random, services: list[Service]) -> Service | None:
        running = [s for s in services if s.running and not s.actor.paused]
        return rng.choice(running) if running else None

    # ── programs ─────────────────────────────────────────────────────────────

    async def _crash(self, rng: Random) -> None:
        world = self._world
        service = self._pick(rng, [*world.services, *world.agents.values()])
        if service is not None:
            await self._worst_moment(service, rng)
            if service.running:
                world.tell(f"FAULT kill {service.actor.name}")
                service.kill()
            await self._again(service, rng)

    async def _worst_moment(self, service: Service, rng: Random) -> None:
        """Wait, in half of all cases, until the process is about to decide something."""
        if service.line is None or rng.random() < 0.5:
            return
        actor, now = service.actor, asyncio.Event()

        def strike() -> None:
            actor.paused = True
            now.set()

        line = service.line
        line.ambush = strike
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AMBUSH_S):
                    await now.wait()
        finally:
            # also when the faults end meanwhile: nobody would let it go on
            line.ambush = None

    async def _stop(self, rng: Random) -> None:
        world = self._world
        service = self._pick(rng, [*world.agents.values(), *world.schedulers])
        if service is not None:
            world.tell(f"FAULT stop {service.actor.name}")
            service.stop()
            await self._again(service, rng)

    async def _again(self, service: Service, rng: Random) -> None:
        down_s = rng.choice((0.2, 2.0, 10.0, 40.0)) * rng.uniform(0.5, 1.5)
        try:
            if service.task is not None:
                await asyncio.wait([service.task])
            await asyncio.sleep(down_s)
        finally:
            if not service.running:
                service.start()
                self._world.tell(f"FAULT {service.actor.name} starts")

    async def _pause(self, rng: Random) -> None:
        world = self._world
        others = [*world.schedulers, world.recorder]
        service = self._pick(rng, [*world.agents.values(), *others])
        if service is None:
            return
        actor = service.actor
        seconds = rng.choice((1.0, 6.0, 20.0, 60.0)) * rng.uniform(0.5, 1.5)
        await self._worst_moment(service, rng)
        world.tell(f"FAULT pause {actor.name} for {seconds:.1f} s")
        actor.paused = True
        await asyncio.sleep(seconds)
        world.loop.resume(actor)
        world.tell(f"FAULT {actor.name} goes on")

    async def _worker(self, rng: Random) -> None:
        alive = [
            (worker, process)
            for host in self._world.hosts.values()
            for worker, process in host.processes.items()
            if process.alive
        ]
        if not alive:
            return
        worker, process = rng.choice(alive)
        if rng.random() < 0.5:
            self._world.tell(f"FAULT kill worker {worker}")
            process.kill()
            return
        seconds = rng.choice((2.0, 10.0, 40.0, 120.0)) * rng.uniform(0.5, 1.5)
        self._world.tell(f"FAULT freeze worker {worker} for {seconds:.1f} s")
        process.freeze()
        await asyncio.sleep(seconds)
        process.thaw()

    # ── network and server ───────────────────────────────────────────────────

    async def _network(self, rng: Random) -> None:
        world, weather = self._world, self._world.weather
        if rng.random() < 0.5:
            service = self._pick(rng, world.services)
            if service is None or service.line is None:
                return
            line, seconds = service.line, rng.choice((1.0, 8.0, 25.0)) * rng.uniform(0.5, 1.5)
            world.tell(f"FAULT cut {service.actor.name} off for {seconds:.1f} s")
            line.cut = True
            await asyncio.sleep(seconds)
            line.cut = False
            return
        weather.lost, weather.reply_lost = rng.choice((0, 0.02, 0.1)), rng.choice((0, 0.02, 0.1))
        weather.doubled, weather.slow = rng.choice((0, 0.05, 0.2)), rng.choice((0, 0.05, 0.3))
        world.tell(f"FAULT weather {weather}")
        await asyncio.sleep(rng.uniform(5, 120))
        weather.lost = weather.reply_lost = weather.doubled = weather.slow = 0.0
        world.tell("FAULT the weather clears up")

    async def _server(self, rng: Random) -> None:
        world, server = self._world, self._world.server
        image = server.image()
        # appendfsync everysec: what is lost is the last second
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        server.crash()
        down_s = rng.choice((0.2, 2.0, 8.0, 30.0)) * rng.uniform(0.5, 1.5)
        world.tell(f"FAULT the server is down for {down_s:.1f} s")
        try:
            await asyncio.sleep(down_s)
        finally:
            server.restart(image)
            world.tell("FAULT the server is back")

    async def _clock(self, rng: Random) -> None:
        step_ms = int(rng.choice((-1500, -200, 300, 2000, 9000, 20_000)) * rng.uniform(0.5, 1.5))
        self._world.tell(f"FAULT the clock steps by {step_ms} ms")
        self._world.server.clock.offset_ms += step_ms

    async def _orders(self, rng: Random) -> None:
        """Say an agent's order twice, or lose it."""
        inboxes = [inbox for inbox in self._world.server.books.inboxes.values() if inbox]
        kinds = {OrderKind.RUN, OrderKind.CANCEL, OrderKind.RELEASE, OrderKind.PREEMPT}
        for inbox in inboxes:
            if inbox[0].kind in kinds and rng.random() < 0.5:
                inbox.append(inbox[0])
            else:
                inbox.popleft()

    # ── devices ──────────────────────────────────────────────────────────────

    async def _nvml(self, rng: Random) -> None:
        host = rng.choice(list(self._world.hosts.values()))
        reader, how = host.reader, rng.choice(("broken", "stale", "low"))
        self._world.tell(f"FAULT nvml of {host.name} is {how}")
        reader.broken, reader.stale = how == "broken", how == "stale"
        reader.factor = rng.uniform(0.2, 0.9) if how == "low" else 1.0
        await asyncio.sleep(rng.uniform(1, 60))
        reader.broken = reader.stale = False
        reader.factor = 1.0

    async def _foreign(self, rng: Random) -> None:
        host = rng.choice(list(self._world.hosts.values()))
        card = rng.choice(host.cards)
        got = card.take_foreign(int(rng.uniform(1, 20) * _GIB))
        self._world.tell(f"FAULT another program takes {got / _GIB:.1f} GiB of {card.uuid}")
        await asyncio.sleep(rng.uniform(1, 120))
        card.take_foreign(0)

    async def _store(self, rng: Random) -> None:
        archive = self._world.archive
        archive.failing = rng.choice((0.0, 0.2, 0.6))
        archive.slowest_s = rng.choice((0.01, 1.0, 10.0))
        archive.down = rng.random() < 0.3
        await asyncio.sleep(rng.uniform(5, 120))
        archive.failing, archive.slowest_s, archive.down = 0.0, 0.01, False

    async def _settings(self, rng: Random) -> None:
        world = self._world
        world.settings = tuned(world.settings, rng)
        skips = world.settings.scheduler.max_skips
        world.highest_skips = max(world.highest_skips, skips)
        world.tell(f"FAULT settings {world.settings.scheduler}")
