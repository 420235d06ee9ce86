"""Hosts of a simulated pool, and the files that describe real ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulator.world.traces import TraceError, open_text

#: device memory of cards that node lists name, GiB; makers' data sheets
VRAM_GIB: Final[Mapping[str, int]] = {
    "P100": 16,
    "V100M16": 16,
    "V100M32": 32,
    "T4": 16,
    "A10": 24,
    "G2": 24,
    "G3": 24,
    "A100": 80,
    "H100": 80,
    "H200": 141,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One host: an agent, its GPUs, all of one kind."""

    id: str
    #: kind of card
    model: str
    gpus: tuple[str, ...]
    vram_bytes: int
    #: workers that share each GPU; 0: as many as on all other hosts
    workers: int = 0


def alike(gpus: int, vram_bytes: int) -> list[Node]:
    """So many hosts of one GPU each, all of the same size."""
    return [
        Node(id=f"n{n:04}", model="simulated", gpus=(f"n{n:04}-gpu0",), vram_bytes=vram_bytes)
        for n in range(gpus)
    ]


def read_nodes(file: Path, gpus: int, vram_bytes: int) -> list[Node]:
    """The first hosts of a node list that together have ``gpus`` GPUs.

    Args:
        file: CSV with columns ``sn``, ``gpu`` (how many) and ``model``.
        gpus: where to stop; the last host may be cut.
        vram_bytes: size of a card whose model is not in ``VRAM_GIB``.

    Raises:
        TraceError: the file cannot be read or has too few GPUs.
    """
    nodes: list[Node] = []
    left = gpus
    for name, count, model in _rows(file):
        count = min(count, left)
        if count:
            nodes.append(_node(name, count, model, vram_bytes))
            left -= count
        if not left:
            return nodes
    raise TraceError(f"{file.name} has {gpus - left} GPUs; {gpus} were asked for")


def _node(name: str, count: int, model: str, vram_bytes: int) -> Node:
    known = VRAM_GIB.get(model)
    return Node(
        id=name,
        model=model,
        gpus=tuple(f"{name}-gpu{n}" for n in range(count)),
        vram_bytes=vram_bytes if known is None else known * 2**30,
    )


def _rows(file: Path) -> Iterator[tuple[str, int, str]]:
    with open_text(file) as text:
        for row in csv.DictReader(text):
            try:
                yield row["sn"], int(row["gpu"]), row["model"]
            except (KeyError, ValueError) as error:
                raise TraceError(
                    f"{file.name}: a node list has the columns sn, gpu and model ({error})"
                ) from error
