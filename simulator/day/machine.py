"""The studio's GPUs: ``SimpleMachine`` with scripts, so that attempts have nodes and mishaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from scheduler.ledger_values import Ending, Grant
from simulator.day.arrivals import Posted
from simulator.day.scripts import Conditions, Script, write
from simulator.day.workflows import GIB
from simulator.world.machine import Ended, Happened, Work
from simulator.world.nodes import Node
from simulator.world.simple_machine import Process, SimpleMachine

#: what the leaking worker keeps of each job, and at most
_LEAK_BYTES: Final = 96 * 2**20
_MOST_LEAKED: Final = 4 * GIB
#: an attempt that runs out of memory wanted so much more than it was promised
_SHORT_BY: Final = 1.1


@dataclass(slots=True, kw_only=True)
class Played:
    """One attempt as it went; times in seconds since the first day began."""

    posted: Posted
    attempt: int
    worker: str
    gpu: str
    start: float
    script: Script
    grant_bytes: int
    peak_bytes: int
    #: device bytes of the process when it started
    before_bytes: int
    #: models that were loaded for it, and dropped to make room
    loaded: tuple[str, ...]
    dropped: tuple[str, ...]
    #: None: it has not ended
    end: float | None = None
    #: None: it was lost
    ending: Ending | None = None
    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Freed:
    """A worker gave its models back, in nobody's job."""

    worker: str
    at: float
    models: tuple[str, ...]


@dataclass(slots=True)
class _Memory:
    """What a worker remembers of what it has run."""

    prompts: set[bytes] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    leaked: int = 0


class DayMachine(SimpleMachine):
    """Keeps a list of all attempts."""

    def __init__(
        self,
        nodes: Sequence[Node],
        workers_per_gpu: int,
        posted: Mapping[str, Posted],
        *,
        short: frozenset[str],
        leaky: str,
    ) -> None:
        """``short``: jobs whose first attempt runs out of memory; ``leaky``: a worker's id."""
        super().__init__(nodes, workers_per_gpu)
        self._posted = posted
        self._short = short
        self._leaky = leaky
        self._remembers = {name: _Memory() for name in self._workers}
        self._running: dict[str, Played] = {}
        self.played: list[Played] = []
        self.freed: list[Freed] = []

    def start(self, now: float, worker: str, work: Work, grant: Grant) -> None:
        """Begin an attempt as its script says."""
        one, posted = self._workers[worker], self._posted[work.job]
        memory, before = self._remembers[worker], one.used_bytes
        names = set(one.residency.names)
        missing = sum(
            size
            for model, size in zip(work.models, work.model_bytes, strict=True)
            if model not in names
        )
        short = work.job in self._short and work.attempt == 1
        script = write(
            posted,
            Conditions(
                attempt=work.attempt,
                load_seconds=work.load_seconds * missing / max(1, sum(work.model_bytes)),
                pressed=self._foreign[one.gpu] > 0,
                same_again=posted.body in memory.prompts,
                loaded=memory.files.issuperset(work.models),
                short=short,
            ),
        )
        most = grant.bytes or work.peak_bytes
        # all of the script's time is the run's: what loading took is in it
        made = replace(
            work,
            peak_bytes=min(posted.peak_bytes, most),
            run_seconds=script.seconds,
            load_seconds=0.0,
        )
        super().start(now, worker, made, grant)
        one.load_seconds = script.load_seconds
        if short:
            one.peak = int(most * _SHORT_BY)
        memory.files.update(work.models)
        played = Played(
            posted=posted,
            attempt=work.attempt,
            worker=worker,
            gpu=one.gpu,
            start=now,
            script=script,
            grant_bytes=grant.bytes,
            peak_bytes=one.peak,
            before_bytes=before,
            loaded=tuple(model for model in work.models if model not in names),
            dropped=tuple(sorted(names - set(one.residency.names))),
        )
        self._running[worker] = played
        self.played.append(played)

    def lose(self, agent: str) -> None:
        """The host stops; its processes remember nothing afterwards."""
        super().lose(agent)
        for one in self._of(agent):
            self._remembers[one.id] = _Memory()
            self._running.pop(one.id, None)

    def _finish(self, worker: Process, at: float) -> Happened:
        if worker.work is None and worker.residency.names:
            self.freed.append(Freed(worker.id, at, worker.residency.names))
        return super()._finish(worker, at)

    def _end(self, worker: Process, work: Work, at: float, ending: Ending) -> Ended:
        played = self._running.pop(worker.id)
        if ending is Ending.SUCCEEDED:
            ending = played.script.ending
        ended = super()._end(worker, work, at, ending)
        memory = self._remembers[worker.id]
        if ending is Ending.SUCCEEDED:
            memory.prompts.add(played.posted.body)
        if worker.id == self._leaky:
            memory.leaked = min(memory.leaked + _LEAK_BYTES, _MOST_LEAKED)
            worker.extra += memory.leaked
        played.end, played.ending, played.after_bytes = at, ending, worker.used_bytes
        return replace(ended, ending=ending)
