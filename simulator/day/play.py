"""Plays a studio's days: the production plan decides, and each moment is sampled as recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from dashboard.history.samples import gpu_rows, pool_row, wait_rows
from scheduler.decisions import Plan, Wait
from scheduler.explanation import explain
from scheduler.ledger_values import Event
from scheduler.plan_config import PlanConfig
from scheduler.states import Job, Snapshot
from simulator.day.arrivals import Posted
from simulator.day.machine import DayMachine, Freed, Played
from simulator.day.studio import LEAKY, NODES, WORKERS_PER_GPU, settings
from simulator.day.vitals import Card
from simulator.day.workflows import GIB
from simulator.world.faults import Fault
from simulator.world.planner import Policy
from simulator.world.policies import PRODUCTION, policies
from simulator.world.world import World

Row = dict[str, Any]
#: jobs of each user whose reasons are looked at, as the recorder does
_WINDOW: Final = 50
#: waits are counted so often
_WAIT_STEP_S: Final = 10
#: samples of each second, and of each ten, are as long as this before the end; before: minutes
SECONDS_MS: Final = 15 * 60_000
TENS_MS: Final = 3 * 3_600_000
#: a host's agent is never silent in a world: gaps are made of what is told here
_NEVER_MS: Final = 10**15
_CONSUMER: Final = "day"


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something that goes wrong for a while; seconds since the first day began."""

    begin: float
    end: float
    #: host that is away; "": none
    agent: str = ""
    #: GPU on which another program holds memory; "": none
    gpu: str = ""
    foreign_bytes: int = 0


@dataclass(slots=True)
class Days:
    """What was played."""

    from_ms: int
    until_ms: int
    posted: Mapping[str, Posted]
    played: Sequence[Played]
    freed: Sequence[Freed]
    mishaps: Sequence[Mishap]
    events: list[Event] = field(default_factory=list)
    #: jobs that have ended
    jobs: dict[str, Job] = field(default_factory=dict)
    gpu_samples: list[Row] = field(default_factory=list)
    pool_samples: list[Row] = field(default_factory=list)
    waits: list[Row] = field(default_factory=list)


class _Watched:
    """The production plan, and the configuration that it was last asked with."""

    def __init__(self) -> None:
        self._plan = policies()[PRODUCTION]()
        self.config: PlanConfig | None = None
        self.policy = Policy(
            name=PRODUCTION, plan=self._ask, window=self._plan.window, again=self._plan.again
        )

    def _ask(self, snapshot: Snapshot, now_ms: int, config: PlanConfig) -> Plan:
        self.config = config
        return self._plan.plan(snapshot, now_ms, config)

    def explained(self, seen: Snapshot) -> Snapshot:
        """The same, with the reasons why jobs wait, as the scheduler's loop writes them."""
        if self.config is None:
            return seen
        made = self._plan.plan(seen, seen.now_ms, self.config)
        waits = {wait.job.id: wait for wait in explain(seen, made)}
        return replace(
            seen,
            backlogs=tuple(
                replace(backlog, jobs=tuple(_explained(job, waits) for job in backlog.jobs))
                for backlog in seen.backlogs
            ),
        )


def _explained(job: Job, waits: Mapping[str, Wait]) -> Job:
    wait = waits.get(job.id)
    if wait is None:
        return job
    return replace(job, wait_reason=wait.reason, wait_detail=wait.detail, wait_blocker=wait.blocker)


def play(posted: Sequence[Posted], from_ms: int, until_ms: int, mishaps: Sequence[Mishap]) -> Days:
    """Play from one time to another; what runs at the end has not ended."""
    by_id = {one.draft.job.id: one for one in posted}
    machine = DayMachine(NODES, WORKERS_PER_GPU, by_id, short=_short(posted), leaky=LEAKY)
    watched = _Watched()
    world = World(
        drafts=[one.draft for one in posted],
        machine=machine,
        policy=watched.policy,
        settings=settings(),
        faults=_faults(mishaps, machine),
        epoch_ms=from_ms,
    )
    days = Days(from_ms, until_ms, by_id, machine.played, machine.freed, mishaps)
    # a recorder that never acknowledges: the books drop nothing
    world.books.stream.record(from_ms, _CONSUMER, 1)
    sampler = _Sampler(days, watched)
    while world.now_ms < until_ms and not world.over:
        seen = world.books.snapshot(_WINDOW)
        world.step()
        sampler.sample(seen, min(world.now_ms, until_ms))
    sampler.sample(world.books.snapshot(_WINDOW), until_ms)
    _keep_books(world, days)
    return days


def _keep_books(world: World, days: Days) -> None:
    cursor = "0-0"
    while events := world.books.events(cursor):
        cursor = events[-1].id
        days.events += [event for event in events if event.at_ms < days.until_ms]
    ended = (record.job for record in world.books.records.values())
    days.jobs = {job.id: job for job in ended if 0 < job.ended_ms < days.until_ms}


def _short(posted: Sequence[Posted]) -> frozenset[str]:
    """One job in each 24 hours runs out of memory: the first concept."""
    found: dict[int, str] = {}
    for one in posted:
        if one.workflow.name == "concept":
            found.setdefault(int((one.draft.at - 1) // 86_400), one.draft.job.id)
    return frozenset(found.values())


def _faults(mishaps: Sequence[Mishap], machine: DayMachine) -> list[Fault]:
    faults = []
    for one in mishaps:
        if one.agent:
            faults.append(Fault(one.begin, one.agent, partial(machine.lose, one.agent)))
            faults.append(Fault(one.end, "", partial(machine.recover, one.agent)))
        else:
            taken = partial(machine.occupy, one.gpu, one.foreign_bytes)
            faults.append(Fault(one.begin, "", taken))
            faults.append(Fault(one.end, "", partial(machine.occupy, one.gpu, 0)))
    return sorted(faults, key=lambda fault: fault.at)


class _Sampler:
    """Samples the time between two events, in which nothing changes."""

    def __init__(self, days: Days, watched: _Watched) -> None:
        self._days = days
        self._watched = watched
        self._at_ms = days.from_ms
        self._wait_ms = days.from_ms
        self._cards = {gpu: Card(gpu) for node in NODES for gpu in node.gpus}
        self._agents = {gpu: node.id for node in NODES for gpu in node.gpus}

    def sample(self, seen: Snapshot, until_ms: int) -> None:
        """Everything was so from the last call until now."""
        days = self._days
        while self._at_ms < until_ms:
            step_s = self._step_s()
            days.gpu_samples += self._gpu_rows(seen, self._at_ms, step_s)
            row = pool_row(replace(seen, now_ms=self._at_ms), self._at_ms)
            days.pool_samples.append(row | {"step_s": step_s, "readings": step_s})
            self._at_ms += step_s * 1000
        if self._wait_ms < until_ms and seen.backlogs:
            seen = self._watched.explained(seen)
        while self._wait_ms < until_ms:
            days.waits += wait_rows(seen, self._wait_ms, _WAIT_STEP_S)
            self._wait_ms += _WAIT_STEP_S * 1000

    def _step_s(self) -> int:
        """Minutes, then tens of seconds, then seconds; each begins on a whole minute."""
        minute = self._days.until_ms - self._days.until_ms % 60_000
        if self._at_ms >= minute - SECONDS_MS:
            return 1
        return 10 if self._at_ms >= minute - TENS_MS else 60

    def _gpu_rows(self, seen: Snapshot, at_ms: int, step_s: int) -> Iterator[Row]:
        running: dict[str, int] = dict.fromkeys(self._cards, 0)
        for job in seen.active.values():
            running[job.gpu] += 1
        for row in gpu_rows(seen, at_ms, _NEVER_MS):
            vitals = self._cards[row["gpu"]].read(running[row["gpu"]], step_s)
            if self._is_away(self._agents[row["gpu"]], at_ms):
                continue
            yield row | {
                "step_s": step_s,
                "readings": step_s,
                "utilisation": vitals.utilisation,
                "temperature": vitals.temperature_c,
                "power_mw": vitals.power_mw,
            }

    def _is_away(self, agent: str, at_ms: int) -> bool:
        at = (at_ms - self._days.from_ms) / 1000
        return any(one.agent == agent and one.begin <= at < one.end for one in self._days.mishaps)


#: What another program takes of a card: enough that a large decode has no room.
FOREIGN_BYTES: Final = 7 * GIB
