"""A sampler (with its scheduler) that takes longer than others at the same setting."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.evidence import dots, users_of, witnesses
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

_LEAST: Final = 5
#: What is less than this is not worth another picture.
_WORTH: Final = 1.1
#: (model, class, width, height, batch, steps, GPU)
Setting = tuple[str, str, int, int, int, int, str]


@dataclass(frozen=True, slots=True)
class Step:
    """A sampler's run: seconds of a step, beside the middle of its setting."""

    node: NodeFact
    #: sampler and scheduler
    name: tuple[str, str]
    setting: Setting
    seconds: float
    relative: float


class SlowSampler:
    """Rank test of seconds per step, each as a share of the middle of its setting.

    A setting is model, node class, size, batch, steps and GPU, so that a test compares like with
    like, and all settings in which a sampler meets others add to one test.
    """

    kind = "slow_sampler"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each sampler with each model."""
        steps = relative(scene)
        found: dict[tuple[str, tuple[str, str]], list[Step]] = defaultdict(list)
        for step in steps:
            found[step.setting[0], step.name].append(step)
        tests = []
        for (model, name), mine in sorted(found.items()):
            others = _others(mine, steps, name)
            met = {step.setting for step in others}
            mine = [step for step in mine if step.setting in met]
            if len(mine) >= _LEAST and len(others) >= _LEAST:
                tests.append(_test(scene, model, mine, others))
        return tests


def _others(mine: list[Step], steps: list[Step], name: tuple[str, str]) -> list[Step]:
    settings = {step.setting for step in mine}
    return [step for step in steps if step.setting in settings and step.name != name]


def relative(scene: Scene) -> list[Step]:
    """All clean runs of samplers that are known by name, oldest first."""
    known: dict[Setting, list[tuple[NodeFact, tuple[str, str], float]]] = defaultdict(list)
    for node in scene.facts.nodes:
        job = scene.jobs[node.job]
        told = job.sampling.get(node.node)
        if told is None or not told.steps or not node.pixels or not scene.clean(node):
            continue
        key = (
            job.model, node.class_type, node.width, node.height, node.batch, told.steps, job.gpu,
        )  # fmt: skip
        known[key].append((node, (told.sampler, told.scheduler), node.seconds / told.steps))
    steps = []
    for key, runs in known.items():
        middle = median(sorted(seconds for _, _, seconds in runs)) or 1e-9
        steps += [
            Step(node, name, key, seconds, max(seconds, 1e-9) / middle)
            for node, name, seconds in runs
        ]
    return sorted(steps, key=lambda step: step.node.started_ms)


def _test(scene: Scene, model: str, mine: list[Step], others: list[Step]) -> Tested:
    p_value = p_above([step.relative for step in mine], [step.relative for step in others])
    return Tested(p_value, partial(_finding, scene, model, mine, others, p_value))


def _finding(
    scene: Scene, model: str, mine: list[Step], others: list[Step], p_value: float
) -> Finding | None:
    factor = ratio([step.relative for step in mine], [step.relative for step in others])
    if factor.low < _WORTH:
        return None
    name = " + ".join(mine[0].name)
    best = _fastest(others)
    usual = median(sorted(step.relative for step in others))
    lost = [step.node.seconds * (1 - min(1.0, usual / step.relative)) for step in mine]
    newest = mine[-1]
    per_step = median(sorted(step.seconds for step in mine))
    size = words.size(newest.node.width, newest.node.height, newest.node.batch)
    return Finding(
        kind=SlowSampler.kind,
        subject=f"{model}/{name}",
        title=f"{name} takes {words.times(factor.by)} the time of other samplers with "
        f"{words.model(model)}",
        cause=f"At the same model, size, batch, steps and GPU a step with {name} took "
        f"{words.seconds(per_step) if per_step >= 0.1 else f'{per_step * 1000:.0f} ms'} (the newest at {size}). "
        "Some samplers ask the model twice for each step.",
        remedies=(
            f"Try {best}: it was the fastest at this setting. Compare the pictures: a slower "
            "sampler may need fewer steps for the same quality.",
        ),
        gain=Gain(What.GPU_TIME, *scene.a_day(lost)),
        effect=Effect(factor.by, factor.low, factor.high, "×"),
        proof=Proof(
            "One-sided Mann–Whitney test of seconds per step over the middle of the same model, "
            "size, batch, steps and GPU, against all other samplers there",
            p_value,
            len(mine),
            len(others),
        ),
        figures=(
            Figure("time of a step", per_step, "s"),
            Figure("settings in which both were seen", len({step.setting for step in mine})),
        ),
        charts=(
            Chart("time of a step, over the middle of its setting", "×", (
                dots(name, (step.relative for step in mine)),
                dots("other samplers", (step.relative for step in others)),
            )),
        ),
        jobs=witnesses(scene, ((s.node.job, words.seconds(s.node.seconds)) for s in mine)),
        about=About(
            fingerprints=tuple(sorted({scene.jobs[s.node.job].fingerprint for s in mine})),
            classes=tuple(sorted({step.node.class_type for step in mine})),
            models=(model,),
        ),
        users=users_of(step.node for step in mine),
    )  # fmt: skip


def _fastest(others: list[Step]) -> str:
    by_name: dict[tuple[str, str], list[float]] = defaultdict(list)
    for step in others:
        by_name[step.name].append(step.relative)
    often = {name: some for name, some in by_name.items() if len(some) >= _LEAST} or by_name
    fastest = min(often, key=lambda name: median(sorted(often[name])))
    return " + ".join(fastest)
