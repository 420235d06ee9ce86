"""One episode: some virtual hour with faults, then a time to heal, then the reckoning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import structlog

from scheduler.memory_books import Books
from scheduler.states import TERMINAL
from simulator.chaos.faults import EXCUSES, GHOSTS, KINDS, Mix, draw_mix
from simulator.chaos.loop import VirtualLoop
from simulator.chaos.nemesis import Nemesis
from simulator.chaos.server import MakeBooks
from simulator.chaos.tuning import first_settings
from simulator.chaos.violation import Violation
from simulator.chaos.workload import Habits
from simulator.chaos.world import World

#: the world is given so much virtual time to finish what it has begun, seconds
_HEALING_S: Final = 3600.0
_LOOK_S: Final = 5.0
#: with these a gateway may have missed an end, or see one again under another cursor
_FORGETFUL: Final = frozenset({"crash", "server", "clock"})
#: what everybody says again and again while the server is away
_NOISE: Final = frozenset({"ledger_unavailable", "ledger_away"})
#: lines of history that a failure shows
TAIL: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an episode is made from; the same plan is the same history."""

    seed: int
    episode: int = 0
    seconds: float = 3600.0
    #: kinds of faults that may happen
    kinds: tuple[str, ...] = tuple(KINDS)
    #: True: exactly these kinds at this pace (1: usual, less: more often), not a draw of them
    exactly: bool = False
    pace: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of it."""

    plan: Plan
    mix: Mix
    #: None: all invariants held
    violation: Violation | None
    #: the last lines of history
    tail: tuple[str, ...]
    counts: dict[str, int] = field(default_factory=dict)
    virtual_seconds: float = 0.0
    steps: int = 0
    #: of the whole history: equal plans have equal digests
    digest: str = ""


def _make_books(clock: Callable[[], int], new_call: Callable[[], str]) -> Books:
    return Books(clock, new_call)


def run_episode(plan: Plan, make_books: MakeBooks = _make_books) -> Outcome:
    """Live through it.

    Args:
        plan: what it is made from.
        make_books: makes the server's books; tests plant their mistakes there.
    """
    loop = VirtualLoop()
    rng = Random(f"{plan.seed}/{plan.episode}")
    mix = Mix(plan.kinds, plan.pace) if plan.exactly else draw_mix(rng, plan.kinds)
    habits = Habits(
        lies="lies" in mix.kinds,
        hangs=0.01 if "bad" in mix.kinds else 0.0,
        kills=0.01 if "bad" in mix.kinds else 0.0,
    )
    world = World(loop, f"{plan.seed}/{plan.episode}", make_books, first_settings(rng), habits)
    world.steady = "clock" not in mix.kinds
    world.honest = not EXCUSES & set(mix.kinds)
    world.known = not GHOSTS & set(mix.kinds)
    before = structlog.get_config()
    structlog.configure(
        processors=[_to_history(world)],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=False,
    )
    try:
        loop.run_until_complete(_live(world, mix, plan.seconds))
    except Violation as violation:
        world.fail(str(violation))
    finally:
        structlog.configure(**before)
        world.archive.close()
        loop.close()
    counts = {**world.counts, **world.watch.replay.counts}
    return Outcome(
        plan=plan,
        mix=mix,
        violation=world.watch.broken,
        tail=tuple(world.history)[-TAIL:],
        counts=dict(sorted(counts.items())),
        virtual_seconds=loop.time(),
        steps=loop.steps,
        digest=world.digest.hexdigest(),
    )


async def _live(world: World, mix: Mix, seconds: float) -> None:
    nemesis = Nemesis(world, mix)
    broken = asyncio.create_task(world.stopped.wait())
    people: list[asyncio.Task[None]] = []
    try:
        for service in world.services:
            service.start()
        people = [asyncio.create_task(client.run()) for client in world.clients]
        nemesis.start()
        await asyncio.wait([broken], timeout=seconds)
        for task in people:
            task.cancel()
        await nemesis.heal()
        world.tell("HEALED")
        if not broken.done():
            await _until_done(world, broken)
        if not broken.done():
            _reckon(world)
            if not _FORGETFUL & set(mix.kinds) and (wrong := world.shown_wrongly()):
                raise Violation(f"{len(wrong)} ends were not shown once, as that of {wrong[0]}")
    finally:
        for service in world.services:
            service.kill()
        mine = asyncio.current_task()
        rest = [task for task in asyncio.all_tasks() if task is not mine]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


async def _until_done(world: World, broken: asyncio.Task[Any]) -> None:
    """Wait until every job has ended and is stored [I17]."""
    deadline = world.loop.time() + _HEALING_S
    while world.loop.time() < deadline and not broken.done():
        books = world.server.books
        for user in list(books.users.values()):
            for _, job_id in list(user.held):
                gateway = world.gateways[0].line
                if gateway is not None:
                    await gateway.ledger.hold(user.name, job_id, held=False)
        ended = all(record.job.state in TERMINAL for record in books.records.values())
        if ended and not world.missing_in_archive():
            return
        await asyncio.wait([broken], timeout=_LOOK_S)


def _reckon(world: World) -> None:
    """What must be true when all is over.

    Raises:
        Violation: it is not.
    """
    left = [
        f"{job.id} {job.state} on {job.worker or 'none'} ({job.wait_reason}: {job.wait_detail})"
        for record in world.server.books.records.values()
        if (job := record.job).state not in TERMINAL
    ]
    for line in left[:TAIL]:
        world.tell(line)
    if left:
        raise Violation(f"{len(left)} jobs never ended [I17], the first: {left[0]}")
    if missing := world.missing_in_archive():
        raise Violation(f"the store lacks or misstates {len(missing)} jobs, as {missing[0]}")
    if lost := world.watch.lost_jobs():
        raise Violation(f"{len(lost)} accepted jobs are gone, as {lost[0]}")


def _to_history(world: World) -> Any:
    def keep(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        if event.get("event") in _NOISE:
            raise structlog.DropEvent
        words = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
        world.tell(f"  log {event.get('event')} {words}"[:240])
        raise structlog.DropEvent

    return keep
