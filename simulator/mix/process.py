"""One ComfyUI process on a shared GPU: what it holds and what it is doing."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from simulator.mix import physics
from simulator.mix.cases import Case, Model
from simulator.world.machine import Work

#: torch's cache is emptied when its free part exceeds this share of all free memory
#: (ComfyUI's ``free_memory``)
_IDLE_CACHE_SHARE: Final = 0.25


class Phase(StrEnum):
    """What an attempt does at a time."""

    #: CUDA context, first kernels: once in the life of a process
    FIRST_USE = "first use"
    LOAD = "load"
    RUN = "run"


@dataclass(slots=True)
class Stage:
    """One thing to do. ``left``: seconds it would take alone; of a load, its share (1–0)."""

    phase: Phase
    left: float


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A job on its process."""

    work: Work
    case: Case
    started: float
    #: what is left to do, the first one under way
    stages: list[Stage]
    #: device footprint that it was told to keep to; None: it takes what the card has
    limit_bytes: int | None
    #: its checkpoint was loaded when it started
    warm: bool
    load_seconds: float = 0.0
    #: run time as a multiple of that in comfort
    stretch: float = 1.0

    @property
    def phase(self) -> Phase:
        """What it does now."""
        return self.stages[0].phase

    def rate(self, others: int) -> float:
        """How much of its stage it does per second beside so many busy processes."""
        match self.phase:
            case Phase.LOAD:
                return 1 / physics.load_seconds(self.case.model, others)
            case Phase.RUN:
                return 1 / (self.case.slowdown(others + 1) * self.stretch)
            case Phase.FIRST_USE:
                return 1.0


@dataclass(slots=True)
class Release:
    """It gives its memory back; ``left`` seconds."""

    left: float


@dataclass(slots=True)
class Process:
    """Its memory is ``context + pool``; the pool is what torch has reserved."""

    id: str
    context_bytes: int
    #: that its first job takes longer
    first_use_seconds: float = physics.FIRST_USE_SECONDS
    pool_bytes: int = 0
    model: Model | None = None
    task: Attempt | Release | None = None
    used_before: bool = False
    #: names of the cases that it has run
    shapes: set[str] = field(default_factory=set)

    @property
    def used_bytes(self) -> int:
        """Device bytes that it holds."""
        return self.context_bytes + self.pool_bytes

    @property
    def busy(self) -> bool:
        """It takes turns on the GPU; first use and releases hardly do."""
        return isinstance(self.task, Attempt) and self.task.phase is not Phase.FIRST_USE

    def seconds_left(self, others: int) -> float | None:
        """Until its stage ends, if so many other processes stay busy; None: it does nothing."""
        match self.task:
            case Attempt():
                return self.task.stages[0].left / self.task.rate(others)
            case Release(left):
                return left
            case None:
                return None

    def work_for(self, seconds: float, others: int) -> None:
        """Go on for some seconds beside so many busy processes."""
        match self.task:
            case Attempt():
                if self.task.phase is not Phase.RUN:
                    self.task.load_seconds += seconds
                stage = self.task.stages[0]
                stage.left = max(0.0, stage.left - seconds * self.task.rate(others))
            case Release(left):
                self.task.left = max(0.0, left - seconds)
            case None:
                pass

    def stages_for(self, case: Case) -> list[Stage]:
        """What it has to do for a job."""
        stages = [] if self.used_before else [Stage(Phase.FIRST_USE, self.first_use_seconds)]
        if self.model is not case.model:
            stages.append(Stage(Phase.LOAD, 1.0))
        new = 0.0 if case.name in self.shapes else physics.NEW_SHAPE_SECONDS
        return [*stages, Stage(Phase.RUN, case.run_seconds + new)]

    def drop_model(self) -> None:
        """Its checkpoint and its pool are given back."""
        self.model, self.pool_bytes = None, 0

    def trim(self) -> None:
        """What torch keeps beyond the weights is given back."""
        weights = self.model.bytes if self.model is not None else 0
        self.pool_bytes = min(self.pool_bytes, weights)

    def trim_if_tight(self, free_bytes: int) -> None:
        """The same, where the card is tight."""
        weights = self.model.bytes if self.model is not None else 0
        spare = max(0, self.pool_bytes - weights)
        if spare > _IDLE_CACHE_SHARE * (free_bytes + spare):
            self.trim()
