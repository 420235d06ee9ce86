"""Samplers that are slow because a part of their model stayed in host memory."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.evidence import dots, users_of, witnesses
from dashboard.advice.finders.slow_sampler import Step, relative
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

_LEAST: Final = 4
#: A model of which less than this is on the device is loaded in part.
_WHOLE: Final = 0.98


class PartialLoad:
    """Rank test of seconds per step over the middle of the setting: loaded in part against whole."""

    kind = "partial_load"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each model that was seen both ways."""
        found: dict[str, tuple[list[Step], list[Step]]] = defaultdict(lambda: ([], []))
        for step in relative(scene):
            there = _there(scene, step)
            if there is not None:
                found[step.setting[0]][there >= _WHOLE].append(step)
        tests = []
        for model, (part, whole) in sorted(found.items()):
            both = {step.setting[:-1] for step in part} & {step.setting[:-1] for step in whole}
            part = [step for step in part if step.setting[:-1] in both]
            whole = [step for step in whole if step.setting[:-1] in both]
            if len(part) >= _LEAST and len(whole) >= _LEAST:
                tests.append(_test(scene, model, part, whole))
        return tests


def _there(scene: Scene, step: Step) -> float | None:
    """Share of the models' bytes that were on the device when the node had ended."""
    prompt = scene.prompts.get(step.node.job)
    if prompt is None:
        return None
    at_ms = step.node.started_ms + int(step.node.seconds * 1000)
    held = scene.held_at(prompt.worker, at_ms)
    whole = sum(size for size, _ in held.models.values()) if held else 0
    return sum(there for _, there in held.models.values()) / whole if held and whole else None


def _test(scene: Scene, model: str, part: list[Step], whole: list[Step]) -> Tested:
    p_value = p_above([step.seconds for step in part], [step.seconds for step in whole])
    return Tested(p_value, partial(_finding, scene, model, part, whole, p_value))


def _finding(
    scene: Scene, model: str, part: list[Step], whole: list[Step], p_value: float
) -> Finding:
    slow, quick = [s.seconds for s in part], [s.seconds for s in whole]
    factor = ratio(slow, quick)
    lost = [step.node.seconds * (1 - 1 / max(1.0, factor.by)) for step in part]
    limits = [
        prompt.limit_bytes
        for step in part
        if (prompt := scene.prompts.get(step.node.job)) and prompt.limit_bytes is not None
    ]
    kept = f", kept within {words.memory(limits[-1])}" if limits else ""
    return Finding(
        kind=PartialLoad.kind,
        subject=model,
        title=f"{words.model(model)} samples {words.times(factor.by)} as long with a part of it in "
        "host memory",
        cause=f"In {words.count(len(part), 'run')}{kept}, a part of the model stayed in host memory "
        "and was fetched again at each step.",
        remedies=(
            "More reservation, so that the model is on the GPU as a whole: fewer workers on it, or "
            "a higher `max_bytes`.",
            "Or a smaller form of the model (fp8), or a lower resolution.",
        ),
        gain=Gain(What.GPU_TIME, *scene.a_day(lost)),
        effect=Effect(factor.by, factor.low, factor.high, "×"),
        proof=Proof(
            "One-sided Mann–Whitney test of seconds per step: runs with a part of the model in "
            "host memory against runs with all of it on the device, at the same settings",
            p_value,
            len(part),
            len(whole),
        ),
        figures=(
            Figure("time of a step, in part", median(sorted(slow)), "s"),
            Figure("time of a step, as a whole", median(sorted(quick)), "s"),
        ),
        charts=(Chart("time of a step", "s", (dots("in part", slow), dots("whole", quick))),),
        jobs=witnesses(scene, ((s.node.job, words.seconds(s.node.seconds)) for s in part)),
        about=About(
            fingerprints=tuple(sorted({scene.jobs[s.node.job].fingerprint for s in part})),
            models=(model,),
        ),
        users=users_of(step.node for step in part),
    )
