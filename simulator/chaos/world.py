"""One world: server, schedulers, hosts with agents, gateways with their people, recorder."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from dashboard.history.recorder import Recorder
from scheduler.ledger import Ledger
from scheduler.placement import BASE_BYTES
from simulator.chaos.agent import VirtualAgent
from simulator.chaos.archive import Archive
from simulator.chaos.card import Card
from simulator.chaos.clients import Client, Follower, Person
from simulator.chaos.host import HostMachine
from simulator.chaos.line import Line, Weather
from simulator.chaos.loop import Actor, VirtualLoop
from simulator.chaos.scheduler import VirtualScheduler
from simulator.chaos.server import MakeBooks, Server
from simulator.chaos.truth import CONTEXT_BYTES, Truth
from simulator.chaos.violation import Violation
from simulator.chaos.watch import Watch
from simulator.chaos.workload import Habits, new_id

_HISTORY: Final = 400
_GIB: Final = 2**30
#: an idle process is taken to hold a little more than it does (``placement.BASE_BYTES``)
_SLACK_BYTES: Final = BASE_BYTES - CONTEXT_BYTES
#: the scheduler looks at its clock, and a moment later the server at its own
_TOLERANCE_S: Final = 2.5


class Service:
    """A program that is started, killed and started again; ``start`` makes one life of it."""

    def __init__(self, world: World, name: str, work: Callable[[Actor, Ledger], Any]) -> None:
        self._world = world
        self._work = work
        self.name = name
        self.actor = Actor(name)
        self.line: Line | None = None
        self.task: asyncio.Task[None] | None = None
        self._lives = 0

    @property
    def running(self) -> bool:
        """Whether a life of it goes on."""
        return self.task is not None and not self.task.done()

    def start(self) -> None:
        """Begin a life."""
        self._lives += 1
        name = f"{self.name}.{self._lives}"
        self.actor = Actor(name)
        world = self._world
        rng = world.rng(f"line {name}")
        self.line = Line(world.loop, world.server, self.actor, world.weather, rng)
        work: Coroutine[Any, Any, None] = self._work(self.actor, self.line.ledger)
        self.task = world.loop.start(self.actor, work)
        self.task.add_done_callback(self._ended, context=world.loop.nobody.copy())

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._world.fail(f"{self.actor.name} broke: {error!r}", error)

    def kill(self) -> None:
        """End its life at once: nothing that it still says reaches anybody."""
        self.actor.severed = True
        self.stop()

    def stop(self) -> None:
        """Ask it to end in order."""
        self._world.loop.resume(self.actor)
        if self.task is not None:
            self.task.cancel()


class World:
    """Everything that there is in one episode.

    Args:
        loop: the virtual loop.
        seed: of everything that is random.
        make_books: makes the server's books.
        settings: what is in force at first.
        habits: what jobs are like.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        seed: str,
        make_books: MakeBooks,
        settings: Settings,
        habits: Habits,
    ) -> None:
        self.loop = loop
        self.seed = seed
        self.settings = settings
        self.highest_skips = settings.scheduler.max_skips
        self.history: deque[str] = deque(maxlen=_HISTORY)
        self.digest = hashlib.blake2b(digest_size=8)
        self.truths: dict[str, Truth] = {}
        self._finished: set[str] = set()
        self.counts: dict[str, int] = {}
        #: the server's clock never steps
        self.steady = True
        #: overflowing cards are a mistake: estimates, drivers and other programs are honest
        self.honest = True
        #: a worker that holds more than it was promised is one
        self.known = True
        self.weather = Weather()
        self.stopped = asyncio.Event()
        self.watch = Watch(self._finished.__contains__, self.tell, lambda: self.highest_skips)
        self.watch.on_broken = self.stopped.set
        self.watch.on_reap = self._reaped
        self.server = Server(loop, make_books, self.watch)
        self.archive = Archive(self.rng("archive"))
        self.shown: dict[str, int] = {}
        self._build(habits)

    def rng(self, what: str) -> Random:
        """A source of chance of its own for each part, so that parts do not disturb each other."""
        return Random(f"{self.seed}:{what}")

    def _build(self, habits: Habits) -> None:
        rng = self.rng("build")
        self.hosts: dict[str, HostMachine] = {}
        self.agents: dict[str, Service] = {}
        for n in range(rng.randint(1, 2)):
            self._add_host(f"h{n}", rng)
        self.schedulers = [
            Service(self, f"s{n}", self._scheduler) for n in range(rng.randint(2, 3))
        ]
        self.gateways = [Service(self, f"g{n}", self._gateway) for n in range(2)]
        self.recorder = Service(self, "recorder", self._recorder)
        users = self.settings.users
        workers = sum(len(host.specs) for host in self.hosts.values())
        load, burst = rng.uniform(0.4, 1.2), 5
        pause_s = 22.0 * (1 + burst) / 2 * len(users) / (load * workers)
        self.clients = [
            Client(
                Person(user.name, user.group, pause_s * rng.uniform(0.5, 2.0), burst),
                habits,
                self._through,
                self.truths,
                self.rng(f"client {user.name}"),
            )
            for user in users
        ]

    def _add_host(self, name: str, rng: Random) -> None:
        sizes = [rng.choice((16, 24, 24, 48)) for _ in range(rng.randint(1, 2))]
        cards = [Card(f"GPU-{name}-{n}", n, size * _GIB) for n, size in enumerate(sizes)]
        machine = HostMachine(name, cards, rng.randint(1, 3), self, self.rng(f"host {name}"))
        self.hosts[name] = machine
        self.agents[name] = Service(self, name, self._agent(machine))

    # ── what each service does in a life ─────────────────────────────────────

    def _agent(self, machine: HostMachine) -> Callable[[Actor, Ledger], Any]:
        ids = self.rng(f"ids {machine.name}")

        def live(actor: Actor, ledger: Ledger) -> Any:
            return VirtualAgent(
                actor,
                machine,
                ledger,
                lambda: self.settings,
                self.loop,
                lambda: self.server.clock() / 1000,
                lambda: new_id(ids),
                self.rng(f"wire {actor.name}"),
            ).run()

        return live

    def _scheduler(self, actor: Actor, ledger: Ledger) -> Any:
        clock = self.loop.time
        return VirtualScheduler(ledger, lambda: self.settings, actor.name, clock).run()

    def _gateway(self, _actor: Actor, ledger: Ledger) -> Any:
        return Follower(ledger, self.shown).run()

    def _recorder(self, _actor: Actor, ledger: Ledger) -> Any:
        engine = cast(AsyncEngine, self.archive)
        return Recorder(ledger, engine, self.loop.time).run()

    def _through(self) -> Ledger:
        """The way to the ledger through a gateway that is up, else through a dead one."""
        for gateway in self.gateways:
            if gateway.running and not gateway.actor.paused and gateway.line is not None:
                return gateway.line.ledger
        line = self.gateways[0].line
        if line is None:
            raise RuntimeError("no gateway was ever started")
        return line.ledger

    @property
    def services(self) -> list[Service]:
        """All programs."""
        return [*self.agents.values(), *self.schedulers, *self.gateways, self.recorder]

    # ── what really happens (``Witness``) ────────────────────────────────────

    def truth(self, key: str) -> Truth:
        """What the job of that key does."""
        return self.truths[key]

    def finished(self, key: str, uuid: str) -> None:
        """The prompt ran to its end, and well."""
        self._finished.add(key)
        self.count("prompts finished")

    def grew(self, key: str, card: Card, pid: int, start_bytes: int) -> None:
        """It holds all it will: where it has neighbours, no more than it was promised."""
        record = self.server.books.records.get(key)
        promised = record.job.reserved_bytes if record is not None else 0
        alone = len(card.held) == 1 or promised < self.truths[key].need_bytes
        if not self.known or alone:
            return
        over = card.held[pid] - max(start_bytes, promised)
        if over > _SLACK_BYTES:
            self.fail(f"{key} holds {over} bytes more than the {promised} it was promised")

    def out_of_memory(self, key: str, card: Card, wanted_bytes: int) -> None:
        """It did not fit on its card: a mistake of ours, unless something has lied."""
        self.count("out of memory")
        self.tell(f"OOM {key[:8]} on {card.uuid}: {wanted_bytes} of {card.total_bytes}")
        record = self.server.books.records.get(key)
        # one that no card can hold gets a whole one, and was told how much that is
        promised = record is not None and record.job.reserved_bytes >= wanted_bytes
        if self.honest and promised:
            held = ", ".join(f"{pid}: {bytes_}" for pid, bytes_ in card.held.items())
            self.fail(
                f"{key} ({wanted_bytes} bytes) did not fit on {card.uuid} though all estimates "
                f"are true; held: {held}"
            )

    def shown_wrongly(self) -> list[str]:
        """Ended jobs whose end some gateway did not show, or showed twice."""
        every = len(self.gateways)
        return [job for job in self.watch.ended if self.shown.get(job, 0) != every]

    def missing_in_archive(self) -> list[str]:
        """Ended jobs that the store does not have with their final state."""
        stored = self.archive.states()
        ended = self.watch.ended.items()
        return [job for job, state in ended if stored.get(job) != state.value]

    def _reaped(self, job_id: str) -> None:
        """An outage is nobody's silence: after it agents have a whole lease to be heard again."""
        self.count("leases passed")
        since = self.loop.time() - self.server.up_since
        lease = self.settings.scheduler.lease
        if self.steady and self.server.life > 1 and since < lease - _TOLERANCE_S:
            raise Violation(f"{job_id}: reaped {since:.1f} s after the server was back")

    # ── history ──────────────────────────────────────────────────────────────

    def tell(self, line: str) -> None:
        """Add a line to the history, which ends with the first violation."""
        if self.watch.broken is None or line.startswith("VIOLATION"):
            self.history.append(f"{self.loop.time():10.3f} {line}")
            self.digest.update(f"{self.loop.time()!r} {line}\n".encode())

    def count(self, what: str, by: int = 1) -> None:
        """Count something that happened."""
        self.counts[what] = self.counts.get(what, 0) + by

    def fail(self, what: str, error: BaseException | None = None) -> None:
        """Something happened that must not."""
        violation = Violation(what)
        violation.__cause__ = error

        def check() -> None:
            raise violation

        self.watch.guard(check)
