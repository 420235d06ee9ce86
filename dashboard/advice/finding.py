"""What a finder says: a fact, what proves it, what it costs, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

from dashboard.advice.scene import Scene


class What(StrEnum):
    """What would be gained; all in seconds a day."""

    #: of a GPU
    GPU_TIME = "gpu_time"
    #: of people's jobs in the queue
    WAITING = "waiting"
    #: of a whole GPU's memory
    MEMORY = "memory"
    #: of a GPU that nobody asked for: worth knowing, but nothing is lost
    SPARE = "spare"


@dataclass(frozen=True, slots=True)
class Gain:
    """What would be gained a day, and between which bounds in 90 % of cases."""

    what: What
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Effect:
    """How large it is, with bounds for 90 % of cases. ``unit``: ``×``, ``share``, and the like."""

    value: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The test behind it, in words, and the chance of so much were there nothing."""

    test: str
    p_value: float
    #: runs (hours, …) that show it, and those it was compared with
    shown: int
    compared: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that matters. Units: ``s``, ``B``, ``px``, ``share``, ``°C``, "" for counts."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Dots:
    """Values of one kind, for a small chart; in the order of time."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A small chart: each run a dot, or each step a point of a line."""

    title: str
    unit: str
    rows: tuple[Dots, ...]
    line: bool = False


@dataclass(frozen=True, slots=True)
class Witness:
    """A job that shows it."""

    job: str
    user: str
    at_ms: int
    note: str


@dataclass(frozen=True, slots=True)
class About:
    """What it concerns, for pages that look for advice on one of these."""

    fingerprints: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One piece of advice. Its texts name no user, but the one that it concerns alone."""

    kind: str
    #: what it is about, the same at each run
    subject: str
    title: str
    cause: str
    #: what to do, the best first
    remedies: tuple[str, ...]
    gain: Gain
    effect: Effect
    proof: Proof
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    jobs: tuple[Witness, ...] = ()
    about: About = About()
    #: whose jobs it concerns; they and admins see it
    users: tuple[str, ...] = ()
    #: user → models of that user's own, where the texts have others' too; {}: they have not
    models_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same for the same thing, whenever it is found."""
        return blake2b(f"{self.kind}\0{self.subject}".encode(), digest_size=10).hexdigest()


@dataclass(frozen=True, slots=True)
class Tested:
    """One test that a finder made, whatever came of it: the guard must know of all."""

    p_value: float
    #: called where the test stands; None: true, but not worth telling
    build: Callable[[], Finding | None]


class Finder(Protocol):
    """Looks for one kind of thing."""

    #: a word, the start of what it finds
    kind: str

    def find(self, scene: Scene) -> list[Tested]:
        """All tests that could be made."""
