"""Several runs at once, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from simulator.world.run import Row, Simulation

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

#: how often the parent looks how far its children are
_LOOK_S: Final = 0.25


def default_processes() -> int:
    """Two, or as many as there are cores: a run takes some 300 MiB."""
    return min(2, os.cpu_count() or 1)


class _Share:
    """What a child process shares with its parent."""

    ended: Synchronized[int] | None = None


def run_all(
    simulation: Simulation,
    tasks: Sequence[tuple[str, int]],
    processes: int,
    tell: Callable[[int], None] = lambda ended: None,
) -> Iterator[Row]:
    """Run every (policy, seed), and yield each as it ends, in no order.

    Args:
        simulation: what is run.
        tasks: policy names and seeds.
        processes: at most so many at once; 1: in this process, one after the other.
        tell: hears now and then how many more jobs have ended.

    Raises:
        WorldError: in one of them some jobs never end.
    """
    if min(processes, len(tasks)) <= 1:
        for policy, seed in tasks:
            yield simulation.run(policy, seed, tell)
        return
    context = multiprocessing.get_context("spawn")
    ended: Synchronized[int] = context.Value("q", 0)
    with ProcessPoolExecutor(
        min(processes, len(tasks)), context, initializer=_share, initargs=(ended,)
    ) as pool:
        pending = {pool.submit(_run, simulation, policy, seed) for policy, seed in tasks}
        told = 0
        while pending:
            done, pending = wait(pending, _LOOK_S, FIRST_COMPLETED)
            tell(ended.value - told)
            told = ended.value
            for future in done:
                yield future.result()


def _share(ended: Synchronized[int]) -> None:
    _Share.ended = ended


def _run(simulation: Simulation, policy: str, seed: int) -> Row:
    return simulation.run(policy, seed, _count)


def _count(more: int) -> None:
    if _Share.ended is not None:
        with _Share.ended.get_lock():
            _Share.ended.value += more
