"""What ``dashboard.api.advice`` answers, as types."""

from __future__ import annotations

from typing import TypedDict


class AdviceGain(TypedDict):
    """What would be gained, seconds a day, with bounds that hold in 90 % of cases.

    ``what``: ``gpu_time`` (of a GPU), ``waiting`` (of jobs in the queue), ``memory`` (of a whole GPU's
    memory), ``spare`` (of a GPU that nobody asked for).
    """

    what: str
    expected: float
    low: float
    high: float


class AdviceEffect(TypedDict):
    """How large it is, with bounds for 90 % of cases. ``unit``: ``×``, ``share``, ``B/run``."""

    value: float
    low: float
    high: float
    unit: str


class AdviceProof(TypedDict):
    """The test behind it: in words, the chance of so much were there nothing, and how many runs."""

    test: str
    p_value: float
    shown: int
    compared: int


class AdviceFigure(TypedDict):
    """A number. ``unit``: ``s``, ``B``, ``px``, ``share``, ``°C``, ``×``; empty: a count."""

    name: str
    value: float
    unit: str


class AdviceDots(TypedDict):
    """Values of one kind, oldest first."""

    name: str
    values: list[float]


class AdviceChart(TypedDict):
    """A small chart: rows of dots, or lines."""

    title: str
    unit: str
    rows: list[AdviceDots]
    line: bool


class AdviceJob(TypedDict):
    """A job that shows it; others' jobs are told to admins only."""

    job: str
    user: str
    at_ms: int
    note: str


class AdviceAbout(TypedDict):
    """What it concerns."""

    fingerprints: list[str]
    classes: list[str]
    models: list[str]
    gpus: list[str]
    workers: list[str]


class AdviceDismissal(TypedDict):
    """Who wants to hear no more of it, and why. ``by``: empty where it is not the caller's to know."""

    by: str
    at_ms: int
    why: str


class Advice(TypedDict):
    """One piece of advice. ``dismissed``: it is, and has not become far stronger since."""

    id: str
    kind: str
    since_ms: int
    found_ms: int
    ended_ms: int | None
    title: str
    cause: str
    remedies: list[str]
    gain: AdviceGain
    effect: AdviceEffect
    proof: AdviceProof
    figures: list[AdviceFigure]
    charts: list[AdviceChart]
    jobs: list[AdviceJob]
    about: AdviceAbout
    users: list[str]
    #: people besides the caller whom it concerns, too
    others: int
    dismissed: bool
    dismissal: AdviceDismissal | None


class AdviceList(TypedDict):
    """A page of advice, what gains most first."""

    advice: list[Advice]
    total: int
    #: how much there is in each state, all pages together
    open: int
    dismissed: int
    ended: int
    #: expected share of what is told that is chance
    level: float
    #: when it was last found; null: never yet
    done_ms: int | None
    #: it has been asked for, and is on its way
    asked: bool


class JobAdvice(TypedDict):
    """What concerns one job: its workflow, its nodes' classes, the job itself."""

    advice: list[Advice]


class AdviceAsked(TypedDict):
    """It will be found anew within about a minute."""

    asked_ms: int
