"""What a lying estimate costs its neighbours: two ComfyUI processes on one GPU, each within a limit.

One runs jobs that get all they want. Beside it the other runs large jobs, first within what they
take, then within a third of it. The neighbour's times should not tell which.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from typing import Any, Final

from bench.gpu.graphs import Workflow
from bench.gpu.probed import ProbedComfyui

#: the neighbour's jobs that are timed
_JOBS: Final = 6


async def beside(
    neighbour: ProbedComfyui,
    liar: ProbedComfyui,
    small: Workflow,
    large: Workflow,
    seeds: Callable[[], int],
) -> dict[str, Any]:
    """Run the neighbour's jobs while the other process is never idle.

    Args:
        neighbour: runs ``small``, timed.
        liar: runs ``large`` until the neighbour is through.
        small: the neighbour's workflow.
        large: the other's.
        seeds: a new number at each call.

    Returns:
        Seconds of each job of both, the neighbour's median, and what failed.
    """
    for worker, workflow in ((neighbour, small), (liar, large)):
        await worker.run(workflow.graph(seeds()))
    through = asyncio.Event()

    async def never_idle() -> list[tuple[float, str]]:
        runs = []
        while not through.is_set():
            runs.append(await liar.run(large.graph(seeds())))
        return runs

    busy = asyncio.create_task(never_idle())
    try:
        mine = [await neighbour.run(small.graph(seeds())) for _ in range(_JOBS)]
    finally:
        through.set()
    theirs = await busy  # its last prompt ends: a lower limit would be refused during it
    return {
        "neighbour_s": [round(seconds, 3) for seconds, _ in mine],
        "neighbour_median_s": round(statistics.median(seconds for seconds, _ in mine), 3),
        "liar_s": [round(seconds, 3) for seconds, _ in theirs],
        "failed": [result for _, result in (*mine, *theirs) if result != "ok"],
    }
