"""A GPU that is slower than others at the same work."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.evidence import dots, witnesses
from dashboard.advice.finding import (
    About,
    Chart,
    Effect,
    Figure,
    Finding,
    Gain,
    Proof,
    Tested,
    What,
)  # fmt: skip
from dashboard.advice.ranks import median, p_above, ratio
from dashboard.advice.scene import Scene
from store.facts import NodeFact

_LEAST: Final = 8
#: Cards of one make differ by a few percent.
_MARGIN: Final = 1.1
_HOT: Final = 83
#: node, seconds over the middle of its setting
Run = tuple[NodeFact, float]


class SlowGpu:
    """Rank test of samplers' seconds over the middle of the same work on all GPUs, 10 % forgiven."""

    kind = "slow_gpu"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each GPU that did what others did, too."""
        runs = _runs(scene)
        tests = []
        for gpu in sorted(runs):
            others = [run for other, some in runs.items() if other != gpu for run in some]
            if len(runs[gpu]) >= _LEAST and len(others) >= _LEAST:
                slower = [value for _, value in runs[gpu]]
                p_value = p_above(slower, [_MARGIN * value for _, value in others])
                build = partial(_finding, scene, gpu, runs[gpu], others, p_value)
                tests.append(Tested(p_value, build))
        return tests


def _runs(scene: Scene) -> dict[str, list[Run]]:
    settings: dict[tuple[object, ...], dict[str, list[NodeFact]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for node in scene.facts.nodes:
        job = scene.jobs[node.job]
        told = job.sampling.get(node.node)
        if told is not None and node.pixels and job.gpu and scene.clean(node):
            key = (job.model, node.class_type, node.width, node.height, node.batch, told.sampler,
                   told.scheduler, told.steps)  # fmt: skip
            settings[key][job.gpu].append(node)
    runs: dict[str, list[Run]] = defaultdict(list)
    for by_gpu in settings.values():
        if len(by_gpu) < 2:
            continue
        # the middle of the GPUs' middles: a GPU that runs most is not its own measure
        middle = median(sorted(median(sorted(n.seconds for n in some)) for some in by_gpu.values()))
        for gpu, some in by_gpu.items():
            runs[gpu] += [(node, max(node.seconds, 1e-9) / max(middle, 1e-9)) for node in some]
    return runs


def _finding(scene: Scene, gpu: str, own: list[Run], others: list[Run], p_value: float) -> Finding:
    factor = ratio([value for _, value in own], [value for _, value in others])
    lost = [node.seconds * (1 - 1 / factor.by) for node, _ in own]
    hours = [hour for hour in scene.facts.hours if hour.gpu == gpu]
    hottest = max(
        (hour.temperature for hour in hours if hour.temperature is not None), default=None
    )
    foreign = max((hour.foreign_bytes for hour in hours), default=0)
    return Finding(
        kind=SlowGpu.kind,
        subject=gpu,
        title=f"GPU {gpu} takes {words.times(factor.by)} the time of the others at the same work",
        cause=f"{words.count(len(own), 'run')} of samplers on GPU {gpu}, compared with the same "
        "model, size, batch, sampler and steps on other GPUs, with models loaded already."
        + (f" It reached {hottest} °C." if hottest is not None else ""),
        remedies=_remedies(gpu, hottest, foreign),
        gain=Gain(What.GPU_TIME, *scene.a_day(lost)),
        effect=Effect(factor.by, factor.low, factor.high, "×"),
        proof=Proof(
            "One-sided Mann–Whitney test of seconds over the middle of the same work on all GPUs, "
            f"against other GPUs plus {words.share(_MARGIN - 1)}",
            p_value,
            len(own),
            len(others),
        ),
        figures=(
            *([Figure("highest temperature", hottest, "°C")] if hottest is not None else []),
            Figure("held by other programs", foreign, "B"),
        ),
        charts=(
            Chart("time over the middle of the same work", "×", (
                dots(gpu, (value for _, value in own)),
                dots("other GPUs", (value for _, value in others)),
            )),
        ),
        jobs=witnesses(scene, ((node.job, words.seconds(node.seconds)) for node, _ in own)),
        about=About(gpus=(gpu,)),
    )  # fmt: skip


def _remedies(gpu: str, hottest: int | None, foreign: int) -> tuple[str, ...]:
    found = []
    if hottest is not None and hottest >= _HOT:
        found.append(f"GPU {gpu} gets hot and slows itself down: look at its fans and its air.")
    if foreign > 2**30:
        found.append(
            f"Other programs hold {words.memory(foreign)} of GPU {gpu} and may compute there, too: "
            "see who does (`nvidia-smi`)."
        )
    found.append(
        f"Where GPU {gpu} is an older model that is as it is: leave it the batch lane. Else look "
        "at its power limit, its clocks and its slot's link width."
    )
    return tuple(found)
