"""The facts, arranged the way finders ask for them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from dashboard.advice.resample import sum_interval
from store.facts import CardFact, Facts, GpuHour, JobFact, MoveFact, NodeFact, PromptFact

_DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
#: Of a GPU's memory this much is never promised (``admission.safety_share``, ``safety_min``).
_SAFETY_SHARE: Final = 0.03
_SAFETY_BYTES: Final = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """Which models a worker had on its device from a moment on: name → (bytes, there)."""

    at_ms: int
    boot: str
    models: Mapping[str, tuple[int, int]]


@dataclass(slots=True)
class Scene:
    """Facts with indexes, and the randomness of a run."""

    facts: Facts
    randomness: Random
    jobs: dict[str, JobFact] = field(init=False)
    prompts: dict[str, PromptFact] = field(init=False)
    #: (job, node) → seconds that models took to load within it
    load_seconds: dict[tuple[str, str], float] = field(init=False)
    #: worker → what it held, oldest first
    held: dict[str, list[Held]] = field(init=False)
    #: minute → (user, blocker) → seconds that the user's jobs waited for room
    headroom_waits: dict[int, dict[tuple[str, str], float]] = field(init=False)
    #: days that the facts span, at least one: nothing is blown up
    days: float = field(init=False)
    #: the most that a job may be promised on any GPU, bytes; 0: nothing is known of one
    capacity: int = field(init=False)
    #: GPU → its memory
    totals: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        facts = self.facts
        self.jobs = {job.id: job for job in facts.jobs}
        self.prompts = {prompt.job: prompt for prompt in facts.prompts}
        self.load_seconds = defaultdict(float)
        for move in facts.moves:
            if move.load and move.job:
                self.load_seconds[move.job, move.node] += move.seconds
        self.held = _held(facts.moves)
        self.headroom_waits = defaultdict(dict)
        for wait in facts.waits:
            if wait.reason == "no_headroom":
                minute = self.headroom_waits[wait.minute_ms]
                key = (wait.user, wait.blocker)
                minute[key] = minute.get(key, 0.0) + wait.job_ms / 1000
        first = min([job.ended_ms for job in facts.jobs], default=facts.until_ms)
        self.days = max(1.0, (facts.until_ms - max(first, facts.from_ms)) / _DAY_MS)
        seen: dict[str, CardFact | GpuHour] = {hour.gpu: hour for hour in facts.hours}
        cards: tuple[CardFact | GpuHour, ...] = facts.cards or tuple(seen.values())
        self.totals = {card.gpu: card.total_bytes for card in (*seen.values(), *facts.cards)}
        self.capacity = max(
            (_capacity(card.total_bytes - card.foreign_bytes) for card in cards), default=0
        )

    def a_day(self, seconds: Iterable[float]) -> tuple[float, float, float]:
        """The sum of these for each day, and its bounds."""
        values = list(seconds)
        low, high = sum_interval(values, self.randomness)
        return sum(values) / self.days, low / self.days, high / self.days

    def held_at(self, worker: str, at_ms: int) -> Held | None:
        """What a worker had at a moment; None: nobody knows."""
        states = self.held.get(worker, [])
        place = bisect_right(states, at_ms, key=lambda state: state.at_ms)
        return states[place - 1] if place else None

    def clean(self, node: NodeFact) -> bool:
        """It did its work, and nothing but its work."""
        return not (
            node.failed or node.fallback or self.load_seconds.get((node.job, node.node), 0.0)
        )


def _held(moves: Iterable[MoveFact]) -> dict[str, list[Held]]:
    states: dict[str, list[Held]] = defaultdict(list)
    for move in moves:
        own = states[move.worker]
        same = own and own[-1].boot == move.boot
        models = dict(own[-1].models) if same else {}
        if move.load:
            models[move.model] = (move.bytes, move.loaded_bytes)
        else:
            models.pop(move.model, None)
        own.append(Held(move.at_ms, move.boot, models))
    return dict(states)


def _capacity(usable: int) -> int:
    return max(0, usable - max(_SAFETY_BYTES, int(usable * _SAFETY_SHARE)))
