"""Batches so large that each picture takes longer than in smaller ones."""

from __future__ import annotations

from collections import defaultdict
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
#: A batch may cost each picture so much more before anybody is told.
_MARGIN: Final = 1.05
#: (model, class, width, height, steps, sampler, GPU)
Setting = tuple[str, str, int, int, int, str, str]


class Batches:
    """Rank test of seconds per picture: one batch size against all smaller ones, 5 % forgiven."""

    kind = "batches"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each setting and batch size that has smaller ones beside it."""
        settings: dict[Setting, dict[int, list[NodeFact]]] = defaultdict(lambda: defaultdict(list))
        for node in scene.facts.nodes:
            if node.pixels and scene.clean(node):
                settings[_setting(scene, node)][node.batch].append(node)
        tests = []
        for setting, batches in sorted(settings.items()):
            for batch in sorted(batches)[1:]:
                large = batches[batch]
                small = [one for size in batches if size < batch for one in batches[size]]
                if len(large) >= _LEAST and len(small) >= _LEAST:
                    tests.append(_test(scene, setting, large, small))
        return tests


def _setting(scene: Scene, node: NodeFact) -> Setting:
    job = scene.jobs[node.job]
    told = job.sampling.get(node.node)
    sampler = told.sampler if told else ""
    steps = told.steps if told else 0
    return job.model, node.class_type, node.width, node.height, steps, sampler, job.gpu


def _each(nodes: list[NodeFact]) -> list[float]:
    return [max(node.seconds, 1e-6) / node.batch for node in nodes]


def _test(scene: Scene, setting: Setting, large: list[NodeFact], small: list[NodeFact]) -> Tested:
    p_value = p_above(_each(large), [_MARGIN * seconds for seconds in _each(small)])
    return Tested(p_value, partial(_finding, scene, setting, large, small, p_value))


def _finding(
    scene: Scene, setting: Setting, large: list[NodeFact], small: list[NodeFact], p_value: float
) -> Finding:
    model, class_type, width, height, *_ = setting
    batch = large[0].batch
    factor = ratio(_each(large), _each(small))
    by_size: dict[int, list[NodeFact]] = defaultdict(list)
    for node in small:
        by_size[node.batch].append(node)
    best = min(by_size, key=lambda size: (median(sorted(_each(by_size[size]))), size))
    usual = median(sorted(_each(small)))
    lost = [max(0.0, node.seconds - usual * node.batch) for node in large]
    peaks = [node.peak_bytes for node in large if node.peak_bytes is not None]
    return Finding(
        kind=Batches.kind,
        subject=f"{model}/{class_type}/{width}x{height}/{batch}",
        title=f"A batch of {batch} at {words.size(width, height)} takes {words.times(factor.by)} "
        "the time for each picture",
        cause=f"{class_type} with {words.model(model)} took "
        f"{words.seconds(median(sorted(_each(large))))} for each picture in batches of {batch}, and "
        f"{words.seconds(usual)} in smaller ones: the GPU is full before that, and the memory "
        "keeps others waiting.",
        remedies=(
            f"Send batches of {best} instead, several if need be: the pictures are there sooner, "
            "and other jobs fit beside them.",
        ),
        gain=Gain(What.GPU_TIME, *scene.a_day(lost)),
        effect=Effect(factor.by, factor.low, factor.high, "×"),
        proof=Proof(
            "One-sided Mann–Whitney test of seconds per picture against smaller batches of the "
            f"same model, node, size, steps, sampler and GPU plus {words.share(_MARGIN - 1)}",
            p_value,
            len(large),
            len(small),
        ),
        figures=(
            Figure("time of a picture in such a batch", median(sorted(_each(large))), "s"),
            Figure("time of a picture in smaller ones", usual, "s"),
            *([Figure("highest allocated by torch", max(peaks), "B")] if peaks else []),
        ),
        charts=(
            Chart("time of a picture", "s", (
                dots(f"batches of {batch}", _each(large)),
                dots("smaller batches", _each(small)),
            )),
        ),
        jobs=witnesses(scene, ((node.job, words.seconds(node.seconds)) for node in large)),
        about=About(
            fingerprints=tuple(sorted({scene.jobs[node.job].fingerprint for node in large})),
            classes=(class_type,),
            models=(model,),
        ),
        users=users_of(large),
    )  # fmt: skip
