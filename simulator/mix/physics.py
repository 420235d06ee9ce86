"""The constants of a GPU that several processes share, and where each comes from.

Sources are rows of ``h200.json``: *alone* = its two runs of one worker, *robin 3* and
*robin 4* = round robin with 3 workers on 24 GiB and 4 on 48 GiB, *peaks 3* and *peaks 4* =
admission by known peaks. In the robins every job's start is known (each worker runs its
own list), so that one sees who was busy beside whom.

Processes take turns on a GPU (no MPS). A run computes in its turns, and what several gain
was measured (``Case.slowdown``). A load is thousands of short copies, one per tensor, and
each waits until the other busy processes had their turn: that is why it takes 2 s alone and
21 s beside two busy neighbours, and why SDXL with 2.2 times the tensors takes twice as long
as SD 1.5, not 3.2 times as its bytes would have it.
"""

from __future__ import annotations

from typing import Final

from simulator.mix.cases import Case, Model

_GIB: Final = 2**30

#: Alone: a job that follows one of the other checkpoint takes 1.9 s longer with SDXL
#: (6.46 GiB), 0.7 s with SD 1.5 (1.99 GiB).
LOAD_SECONDS_PER_GIB: Final = 0.31
#: For each tensor and each other busy process. Robin 3 and 4: SDXL loads took 12 s longer
#: than the run beside one busy neighbour, 20 s beside two, 27 s beside three; SD 1.5 5, 10, 12.
TURN_SECONDS: Final = 0.0035
#: Alone: the first job of a process took 5.0–6.1 s, of which 1.1 s are its run and 0.6 s its
#: load; robin 4, whose first jobs took 3 s longer than later loads.
FIRST_USE_SECONDS: Final = 3.4
#: Alone: a workflow's first run in a process takes 0.2 s (SDXL) to 1.5 s (SD 1.5 x4) longer.
NEW_SHAPE_SECONDS: Final = 0.4
#: In-process release: 0.35–0.5 s without weights, 1.4–4.4 s with SDXL's 6.46 GiB.
RELEASE_SECONDS: Final = 0.4
RELEASE_SECONDS_PER_GIB: Final = 0.39
#: ComfyUI's own ``POST /free``: 0.4, 0.6, 4.0 and 7.5 s.
FREE_SECONDS: Final = 3.1


def load_seconds(model: Model, others: int) -> float:
    """Seconds to load a checkpoint while so many other processes are busy."""
    alone = LOAD_SECONDS_PER_GIB * model.bytes / _GIB
    return alone + TURN_SECONDS * model.tensors * others


def run_seconds(case: Case, others: int) -> float:
    """Seconds to run a workflow in comfort while so many other processes are busy."""
    return case.run_seconds * case.slowdown(others + 1)


def release_seconds(model: Model | None) -> float:
    """Seconds until a process has given its memory back."""
    weights = model.bytes if model is not None else 0
    return RELEASE_SECONDS + RELEASE_SECONDS_PER_GIB * weights / _GIB
