"""What happens node by node within one attempt: drawn from the job's seed and the GPU's state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from scheduler.ledger_values import Ending
from simulator.day.arrivals import Posted
from simulator.day.workflows import LOADERS, NodeKind

#: what the frame of a run takes when all of its nodes are cached
_CACHED_S: Final = 0.06
#: a node that is slow for no reason of its own (a disk, a neighbour): how often, how much
_SLOW_SHARE: Final = 0.006
_SLOW_FACTOR: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStep:
    """One node of an attempt; times in seconds since the attempt's start."""

    kind: NodeKind
    begin: float
    seconds: float
    cached: bool
    #: type of the exception; "": it went well
    error: str = ""
    #: it decoded in tiles, for want of memory
    tiled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How one attempt goes."""

    nodes: tuple[NodeStep, ...]
    ending: Ending
    #: loading included
    seconds: float
    load_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What an attempt finds on its worker."""

    attempt: int
    #: seconds that loading what is missing takes
    load_seconds: float
    #: another program has memory of the GPU
    pressed: bool
    #: this worker has run the very same prompt, and has all of its results
    same_again: bool
    #: this worker has loaded these models from disk before, by their loaders
    loaded: bool
    #: the first attempt runs out of memory
    short: bool


def write(posted: Posted, found: Conditions) -> Script:
    """Draw an attempt."""
    rng = random.Random(f"{posted.seed}:{found.attempt}")
    if found.same_again:
        return _cached(posted)
    steps: list[NodeStep] = []
    at, load = 0.02, found.load_seconds
    ending = Ending.SUCCEEDED
    for kind in posted.workflow.nodes:
        cached = kind.class_type in LOADERS and found.loaded and load <= 0
        seconds = 0.0 if cached else _seconds(rng, kind)
        tiled = found.pressed and kind.tiled_seconds > 0
        if tiled:
            seconds = kind.tiled_seconds * rng.lognormvariate(0, 0.05)
        if kind.class_type in LOADERS and load > 0 and not cached:
            seconds, load = seconds + load, 0.0
        error = _error(rng, kind, found)
        if error:
            seconds *= rng.uniform(0.3, 0.9)
        steps.append(
            NodeStep(kind=kind, begin=at, seconds=seconds, cached=cached, error=error, tiled=tiled)
        )
        at += seconds
        if error:
            ending = Ending.OOM if error == "OutOfMemoryError" else Ending.FAILED
            break
    return Script(
        nodes=tuple(steps), ending=ending, seconds=at, load_seconds=found.load_seconds - load
    )


def _cached(posted: Posted) -> Script:
    kinds = posted.workflow.nodes
    steps = tuple(NodeStep(kind=kind, begin=0.02, seconds=0.0, cached=True) for kind in kinds)
    return Script(nodes=steps, ending=Ending.SUCCEEDED, seconds=_CACHED_S, load_seconds=0.0)


def _seconds(rng: random.Random, kind: NodeKind) -> float:
    slow = _SLOW_FACTOR if rng.random() < _SLOW_SHARE else 1.0
    return kind.seconds * rng.lognormvariate(0, kind.spread) * slow


def _error(rng: random.Random, kind: NodeKind, found: Conditions) -> str:
    if kind.fails and rng.random() < kind.fails:
        return kind.error
    if found.short and kind.class_type == "KSampler":
        return "OutOfMemoryError"
    return ""


def cut(script: Script, seconds: float) -> Iterator[NodeStep]:
    """The nodes that had ended when the attempt was broken off after so long."""
    return (step for step in script.nodes if step.begin + step.seconds <= seconds)
