"""Workers that fail again and again rest for a while, then get one trial job (pure).

A worker that lost or hung several jobs in a row is likely broken itself. It
rests; after that it takes one job, and only a success ends the count. Where
most workers of a GPU are in that state, the GPU is suspected and all of them rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from scheduler.states import Worker

#: Each further failure doubles the rest, up to so many times.
_MOST_DOUBLINGS: Final = 5


def rests_until(worker: Worker, failures: int, rest_ms: int) -> int:
    """Server time until which a worker takes no job; 0: it takes them.

    Args:
        worker: with its count of failures.
        failures: how many in a row begin a rest.
        rest_ms: the first rest; doubled with each further failure.
    """
    beyond = worker.failures - failures
    if beyond < 0:
        return 0
    return worker.failed_ms + (rest_ms << min(beyond, _MOST_DOUBLINGS))


def gpu_rests_until(workers: Iterable[Worker], failures: int, rest_ms: int) -> int:
    """The same for a GPU: most of its workers rest, and there are several.

    Args:
        workers: all of one GPU.
        failures: as for ``rests_until``.
        rest_ms: as for ``rests_until``.
    """
    until = sorted((rests_until(worker, failures, rest_ms) for worker in workers), reverse=True)
    if len(until) < 2:
        return 0
    return until[len(until) // 2]
