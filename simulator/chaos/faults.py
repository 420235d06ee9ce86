"""Which kinds of faults an episode has, and how often each strikes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Final

#: kind → mean seconds between two of its faults, and what it does
KINDS: Final[dict[str, tuple[float, str]]] = {
    "crash": (150.0, "kill -9 of an agent, scheduler, gateway or recorder; it starts again"),
    "stop": (600.0, "an orderly stop of an agent or scheduler"),
    "pause": (120.0, "an agent, scheduler or recorder is frozen, often for longer than a lease"),
    "worker": (180.0, "a worker's process dies or is frozen"),
    "network": (90.0, "a process is cut off; calls are lost, slow, or said twice"),
    "server": (420.0, "the ledger's server restarts and has lost its last second"),
    "clock": (600.0, "the server's clock steps"),
    "orders": (60.0, "entries of agents' inboxes are doubled or lost"),
    "nvml": (240.0, "the driver fails, repeats itself, or tells too little"),
    "foreign": (300.0, "another program takes memory of a card"),
    "store": (200.0, "the recorder's store is slow, fails, or is away"),
    "settings": (200.0, "an admin changes settings"),
    "lies": (0.0, "estimates of bytes are wrong, both ways"),
    "bad": (0.0, "jobs that hang, or kill their worker"),
}
#: with these a card may overflow though nobody made a mistake; a worker that was frozen
#: may run a prompt that its agent has given up
EXCUSES: Final = frozenset({"nvml", "foreign", "lies", "worker"})
#: with these a worker may hold what the books cannot know of at once
GHOSTS: Final = EXCUSES | {"crash", "pause", "server", "network"}
_CHANCE: Final = 0.6


class UnknownFault(ValueError):
    """There is no such kind of fault; the message lists them."""


@dataclass(frozen=True, slots=True)
class Mix:
    """The kinds of one episode."""

    kinds: tuple[str, ...]
    #: how much rarer or more frequent than usual
    pace: float


def parse_kinds(text: str) -> tuple[str, ...]:
    """Read ``crash,pause`` or ``all``.

    Raises:
        UnknownFault: a kind that there is not.
    """
    if text == "all":
        return tuple(KINDS)
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    for name in names:
        if name not in KINDS:
            raise UnknownFault(f"there is no fault {name!r}; there are {', '.join(KINDS)}, or all")
    return names


def draw_mix(rng: Random, allowed: Collection[str]) -> Mix:
    """Some of the allowed kinds: what never happens together is found only in parts."""
    kinds = tuple(kind for kind in KINDS if rng.random() < _CHANCE and kind in allowed)
    return Mix(kinds, rng.choice((0.5, 1.0, 1.0, 2.0)))
