"""What goes wrong in a world, drawn beforehand: lost agents, foreign memory, lying estimates."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Final, Protocol

from simulator.world.machine import Machine
from simulator.world.nodes import Node

_EXAMPLE: Final = "lie=0.25,loss=4,foreign=10"
#: a lost host is back after a minute at least, two in the mean: longer than its leases
_DOWN_LEAST_S: Final = 60.0
_DOWN_MEAN_S: Final = 60.0
#: another program takes so much of a card, for so long in the mean
_FOREIGN_BYTES: Final = 8 * 2**30
_FOREIGN_MEAN_S: Final = 300.0


class Breakable(Machine, Protocol):
    """A machine that can lose hosts and share its GPUs with other programs."""

    def lose(self, agent: str) -> None:
        """The host stops: its attempts never end, its workers are DOWN and empty."""
        ...

    def recover(self, agent: str) -> None:
        """The host is back, its workers idle and empty."""
        ...

    def occupy(self, gpu: str, foreign_bytes: int) -> None:
        """Processes that are not ours hold so much of the GPU from now on."""
        ...


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """How often what goes wrong, in the whole pool."""

    #: standard deviation of ln(estimate ÷ truth) of run times
    lie: float = 0.0
    #: hosts lost per hour
    loss: float = 0.0
    #: bursts of foreign memory (8 GiB for some minutes) per hour
    foreign: float = 0.0

    @classmethod
    def parse(cls, text: str) -> FaultSpec:
        """Read ``key=value`` pairs.

        Raises:
            ValueError: an unknown key, or a value that is no number from 0; has an example.
        """
        values: dict[str, float] = {}
        known = [field.name for field in fields(cls)]
        for pair in filter(None, (part.strip() for part in text.split(","))):
            key, _, value = pair.partition("=")
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if key not in known or not 0 <= number < 1e6:
                raise ValueError(
                    f"{pair!r} is no fault; there are {', '.join(known)}, each with a number from "
                    f"0: {_EXAMPLE}"
                )
            values[key] = number
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, or right again."""

    at: float
    #: agent whose attempts are lost by it; "": none
    lost_agent: str
    happen: Callable[[], None]


def draw_faults(
    spec: FaultSpec, machine: Breakable, nodes: Sequence[Node], *, horizon: float, seed: int
) -> list[Fault]:
    """All faults within ``horizon`` seconds, in order of time.

    A host that is down, or a GPU that is occupied, is not hit again before it is over.
    """
    rng = random.Random(f"{seed}:faults")
    agents = [node.id for node in nodes]
    gpus = [gpu for node in nodes for gpu in node.gpus]
    faults: list[Fault] = []
    for at, agent, back in _strikes(rng, spec.loss, agents, horizon, _DOWN_LEAST_S, _DOWN_MEAN_S):
        faults.append(Fault(at, agent, partial(machine.lose, agent)))
        faults.append(Fault(back, "", partial(machine.recover, agent)))
    for at, gpu, back in _strikes(rng, spec.foreign, gpus, horizon, 0.0, _FOREIGN_MEAN_S):
        faults.append(Fault(at, "", partial(machine.occupy, gpu, _FOREIGN_BYTES)))
        faults.append(Fault(back, "", partial(machine.occupy, gpu, 0)))
    return sorted(faults, key=lambda fault: fault.at)


def _strikes(
    rng: random.Random,
    per_hour: float,
    targets: Sequence[str],
    horizon: float,
    least: float,
    mean: float,
) -> list[tuple[float, str, float]]:
    """When, what, and until when."""
    strikes: list[tuple[float, str, float]] = []
    until: dict[str, float] = {}
    at = rng.expovariate(per_hour / 3600) if per_hour else horizon
    while at < horizon:
        target = rng.choice(targets)
        if until.get(target, 0.0) <= at:
            until[target] = at + least + rng.expovariate(1 / mean)
            strikes.append((at, target, until[target]))
        at += rng.expovariate(per_hour / 3600)
    return strikes
