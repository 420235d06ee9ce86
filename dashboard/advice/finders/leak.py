"""A worker that holds more and more memory which no model and no cached output explains."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import pairwise
from typing import Final

from dashboard.advice import words
from dashboard.advice.evidence import users_of
from dashboard.advice.finding import (
    About,
    Chart,
    Dots,
    Effect,
    Figure,
    Finding,
    Gain,
    Proof,
    Tested,
    What,
)  # fmt: skip
from dashboard.advice.scene import Scene
from dashboard.advice.trend import p_rising, slope
from store.facts import PromptFact

#: Runs of one life of a worker, in at most so many blocks of at least so many runs.
_LEAST: Final = 24
_BLOCKS: Final = 12
_BLOCK_RUNS: Final = 3
#: Growth that is worth a restart.
_WORTH: Final = 256 * 2**20
_DAY_S: Final = 86_400.0


class Leak:
    """Mann–Kendall test on the least unexplained bytes of each block of runs; Theil–Sen slope.

    Unexplained is what torch has allocated after a run, less the models that are loaded and the
    outputs that ComfyUI's cache keeps. The least of a block rises only where memory does not come
    back, and runs that follow one another tell less than they seem to: blocks do not.
    """

    kind = "leak"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each life of a worker that was long enough."""
        lives: dict[tuple[str, str], list[tuple[PromptFact, int]]] = defaultdict(list)
        for prompt in scene.facts.prompts:
            if prompt.allocated_after is None:
                continue
            held = scene.held_at(prompt.worker, prompt.started_ms + int(prompt.seconds * 1000))
            loaded = sum(there for _, there in held.models.values()) if held else 0
            # less than nothing: parts of models were moved out without a word, and nothing is left
            left = max(0, prompt.allocated_after - prompt.retained_bytes - loaded)
            lives[prompt.worker, held.boot if held else ""].append((prompt, left))
        return [
            _test(scene, worker, runs)
            for (worker, _), runs in sorted(lives.items())
            if len(runs) >= _LEAST
        ]


def _test(scene: Scene, worker: str, runs: list[tuple[PromptFact, int]]) -> Tested:
    floors = _floors([left for _, left in runs])
    p_value = p_rising([float(value) for _, value in floors])
    return Tested(p_value, partial(_finding, scene, worker, runs, floors, p_value))


def _floors(left: list[int]) -> list[tuple[float, int]]:
    """(run in the middle of the block, least bytes of the block)."""
    blocks = min(_BLOCKS, len(left) // _BLOCK_RUNS)
    edges = [len(left) * place // blocks for place in range(blocks + 1)]
    return [((begin + end - 1) / 2, min(left[begin:end])) for begin, end in pairwise(edges)]


def _finding(
    scene: Scene,
    worker: str,
    runs: list[tuple[PromptFact, int]],
    floors: list[tuple[float, int]],
    p_value: float,
) -> Finding | None:
    grown = floors[-1][1] - floors[0][1]
    rate = slope([at for at, _ in floors], [float(value) for _, value in floors])
    if grown < _WORTH or rate.low <= 0:
        return None
    gpu = runs[-1][0].gpu
    total = scene.totals.get(gpu, 0) or max(1, runs[-1][0].allocated_after or 1)
    # what is lost stays held until the worker ends: on average half of it, all day
    each_day = [rate_ * len(runs) / 2 / total * _DAY_S for rate_ in (rate.by, rate.low, rate.high)]
    prompts = [prompt for prompt, _ in runs]
    until_full = (total - (prompts[-1].allocated_after or 0)) / rate.by
    return Finding(
        kind=Leak.kind,
        subject=worker,
        title=f"Worker {worker} loses {words.memory(rate.by)} with each run",
        cause=f"Over {words.count(len(runs), 'run')} of one life worker {worker} came to hold "
        f"{words.memory(grown)} that no loaded model and no cached output explains: a node keeps "
        "tensors that it should let go.",
        remedies=(
            f"Restart worker {worker} when it is idle; at this rate its GPU is full after about "
            f"{words.count(max(1, int(until_full)), 'run')}.",
            "Find the node: compare what is held before and after each run on the jobs' pages.",
        ),
        gain=Gain(What.MEMORY, *each_day),
        effect=Effect(rate.by, rate.low, rate.high, "B/run"),
        proof=Proof(
            f"One-sided Mann–Kendall test on the least unexplained bytes of {len(floors)} blocks of "
            "runs, Theil–Sen slope",
            p_value,
            len(runs),
            len(floors),
        ),
        figures=(
            Figure("grown by", grown, "B"),
            Figure("with each run", rate.by, "B"),
            Figure("runs of this life", len(runs)),
        ),
        charts=(
            Chart("unexplained bytes after runs: least of each block", "B", (
                Dots(worker, tuple(float(value) for _, value in floors)),
            ), line=True),
        ),
        about=About(
            fingerprints=_suspects(scene, runs), gpus=(gpu,) if gpu else (), workers=(worker,)
        ),
        users=users_of(()),
    )  # fmt: skip


def _suspects(scene: Scene, runs: list[tuple[PromptFact, int]]) -> tuple[str, ...]:
    """Workflows after whose runs the most was left, three at most."""
    left: dict[str, float] = defaultdict(float)
    for (_, before), (prompt, after) in pairwise(runs):
        job = scene.jobs.get(prompt.job)
        if job is not None and job.fingerprint:
            left[job.fingerprint] += after - before
    return tuple(sorted(left, key=lambda flow: (-left[flow], flow))[:3])
