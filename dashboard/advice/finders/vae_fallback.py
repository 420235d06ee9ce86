"""A VAE that went on in tiles, or on the CPU, for want of memory."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
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
from dashboard.advice.ranks import Shift, median, p_above, ratio
from dashboard.advice.scene import Scene
from store.facts import NodeFact

#: Allocated per picture pixel where a VAE works on all of it at once (``scheduler.guess``: 38 shapes on an
#: H200), and what a process holds beside torch there. Used where no run of this pool says more.
_BYTES_PER_PIXEL: Final = 2_177
_CONTEXT_BYTES: Final = 858_993_459
#: Below this a picture says little about bytes per pixel.
_TELLING_PIXELS: Final = 250_000
#: Sizes that count as the same.
_NEAR: Final = 1.1
_LEAST: Final = 3


@dataclass(frozen=True, slots=True)
class _Case:
    """Runs of one kind that fell back, and the runs that they are compared with."""

    fingerprint: str
    class_type: str
    slow: tuple[NodeFact, ...]
    whole: tuple[NodeFact, ...]
    #: the compared runs have the same size
    same_size: bool


class VaeFallback:
    """Rank test of seconds per pixel: runs that fell back against runs that did not."""

    kind = "vae_fallback"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each workflow and class with runs that fell back."""
        coded = [node for node in scene.facts.nodes if _is_vae(node) and not node.failed]
        slow: dict[tuple[str, str], list[NodeFact]] = defaultdict(list)
        for node in coded:
            if node.fallback and node.pixels:
                slow[scene.jobs[node.job].fingerprint, node.class_type].append(node)
        return [
            _test(scene, _case(scene, key, runs, coded))
            for key, runs in sorted(slow.items())
            if len(runs) >= _LEAST
        ]


def _is_vae(node: NodeFact) -> bool:
    return node.class_type.startswith("VAE")


def _case(
    scene: Scene, key: tuple[str, str], slow: list[NodeFact], coded: Sequence[NodeFact]
) -> _Case:
    fingerprint, class_type = key
    usual = median(sorted(node.pixels for node in slow))
    whole = [
        node
        for node in coded
        if node.class_type == class_type and node.pixels and scene.clean(node)
    ]
    near = [node for node in whole if usual / _NEAR <= node.pixels <= usual * _NEAR]
    same = len(near) >= _LEAST
    return _Case(fingerprint, class_type, tuple(slow), tuple(near if same else whole), same)


def _test(scene: Scene, case: _Case) -> Tested:
    slow, whole = _per_pixel(case.slow), _per_pixel(case.whole)
    p_value = p_above(slow, whole) if len(whole) >= _LEAST else 1.0
    return Tested(p_value, partial(_finding, scene, case, p_value))


def _per_pixel(nodes: Sequence[NodeFact]) -> list[float]:
    return [max(node.seconds, 1e-6) / node.pixels for node in nodes]


def _finding(scene: Scene, case: _Case, p_value: float) -> Finding:
    factor = ratio(_per_pixel(case.slow), _per_pixel(case.whole))
    usual = median(sorted(_per_pixel(case.whole)))
    lost = [node.seconds - usual * node.pixels for node in case.slow]
    newest = case.slow[-1]
    where = "in tiles" if newest.fallback == "tiled" else "on the CPU"
    size = words.size(newest.width, newest.height, newest.batch)
    took = median(sorted(node.seconds for node in case.slow))
    job = scene.jobs[newest.job]
    return Finding(
        kind=VaeFallback.kind,
        subject=f"{case.fingerprint}/{case.class_type}",
        title=f"{case.class_type} fell back for want of memory: {words.seconds(took)} instead of "
        f"{words.seconds(usual * newest.pixels)}",
        cause=f"Node {newest.node} ({case.class_type}) of workflow {words.short(case.fingerprint)}"
        f" did not have the memory for {size} at once and went on {where}, in "
        f"{words.count(len(case.slow), 'run')}. {_short_of(scene, case)}",
        remedies=_remedies(scene, case, newest),
        gain=Gain(What.GPU_TIME, *scene.a_day(lost)),
        effect=Effect(factor.by, factor.low, factor.high, "×"),
        proof=_proof(case, p_value),
        figures=_figures(scene, case, factor),
        charts=(
            Chart("time of a run", "s", (
                dots("fell back", (node.seconds for node in case.slow)),
                dots(_compared(case), (_at_size(node, newest) for node in case.whole)),
            )),
        ),
        jobs=witnesses(scene, ((node.job, words.seconds(node.seconds)) for node in case.slow)),
        about=About(
            fingerprints=(case.fingerprint,),
            classes=(case.class_type,),
            models=(job.model,) if job.model else (),
            gpus=tuple(sorted({scene.jobs[node.job].gpu for node in case.slow})),
        ),
        users=users_of(case.slow),
    )  # fmt: skip


def _at_size(node: NodeFact, like: NodeFact) -> float:
    """Seconds that a run would have taken at another run's size."""
    return node.seconds / node.pixels * like.pixels


def _compared(case: _Case) -> str:
    return "same size at once" if case.same_size else "other sizes at once, per pixel"


def _proof(case: _Case, p_value: float) -> Proof:
    sizes = "of the same size" if case.same_size else "of other sizes"
    return Proof(
        "One-sided Mann–Whitney test of seconds per pixel against runs of this class "
        f"{sizes} that did not fall back, in the whole pool",
        p_value,
        len(case.slow),
        len(case.whole),
    )


def _figures(scene: Scene, case: _Case, factor: Shift) -> tuple[Figure, ...]:
    newest = case.slow[-1]
    limits = _limits(scene, case.slow)
    found = [
        Figure("times as long", factor.by, "×"),
        Figure("size", newest.pixels, "px"),
        Figure("device memory that it needs at once", _needed(scene, case), "B"),
        Figure("most that a GPU here can promise", scene.capacity, "B"),
    ]
    if limits:
        found.append(Figure("device memory that it was kept within", limits[-1], "B"))
    if newest.peak_bytes is not None:
        found.append(Figure("highest allocated by torch", newest.peak_bytes, "B"))
    return tuple(found)


def _limits(scene: Scene, nodes: Sequence[NodeFact]) -> list[int]:
    """Device bytes that these runs' processes were kept within, oldest first."""
    prompts = [scene.prompts.get(node.job) for node in nodes]
    return [one.limit_bytes for one in prompts if one is not None and one.limit_bytes is not None]


def _short_of(scene: Scene, case: _Case) -> str:
    limits, needed = _limits(scene, case.slow), words.memory(_needed(scene, case))
    if not limits:
        return f"No limit was set: the card was too full. At once it takes about {needed}."
    kept = words.memory(max(limits))
    if _crowded(scene, case):
        return (
            f"Its process might take {kept}, which was enough in "
            f"{words.count(len(case.whole), 'run')} of this size: the card itself was too full."
        )
    return f"Its process was kept within {kept} of device memory; at once it takes about {needed}."


def _crowded(scene: Scene, case: _Case) -> bool:
    """Whether limits that these runs had were enough for others: then it was not the limit."""
    limits = _limits(scene, case.slow)
    return bool(limits) and case.same_size and _needed(scene, case) <= min(limits)


def _needed(scene: Scene, case: _Case) -> int:
    """Device bytes with which it runs at once: seen, where runs of this size did; else by pixels."""
    if case.same_size:
        seen = [_footprint(scene, node) for node in case.whole]
        known = [size for size in seen if size is not None]
        if known:
            return min(known)
    newest = case.slow[-1]
    return int(_CONTEXT_BYTES + _weights(case) + _bytes_per_pixel(case.whole) * newest.pixels)


def _footprint(scene: Scene, node: NodeFact) -> int | None:
    """What a run had on the device: its limit, else the most that its process reserved."""
    prompt = scene.prompts.get(node.job)
    if prompt is None:
        return None
    if prompt.limit_bytes is not None:
        return prompt.limit_bytes
    return None if prompt.peak_reserved is None else prompt.peak_reserved + _CONTEXT_BYTES


def _weights(case: _Case) -> int:
    """What lay on the device before the node ran."""
    return max((node.before_bytes or 0 for node in case.slow), default=0)


def _bytes_per_pixel(whole: Sequence[NodeFact]) -> float:
    measured = sorted(
        (node.peak_bytes - node.before_bytes) / node.pixels
        for node in whole
        if node.peak_bytes is not None
        and node.before_bytes is not None
        and node.pixels >= _TELLING_PIXELS
    )
    return median(measured) if len(measured) >= _LEAST else float(_BYTES_PER_PIXEL)


def _remedies(scene: Scene, case: _Case, newest: NodeFact) -> tuple[str, ...]:
    """What to do, the best first: which of them helps is told by bytes needed, bytes there and size."""
    if newest.fallback == "cpu":
        return (
            "Let the VAE run on the GPU: start its worker without --cpu-vae, or give the job more "
            "device memory.",
        )
    needed, smaller = _needed(scene, case), _smaller(scene, case, newest)
    found = []
    if _crowded(scene, case):
        found.append(
            "More reservation than the limit alone: keep other programs and workers off the card "
            "while it runs, or raise `admission.safety_min`, so that what is promised is there."
        )
    elif needed <= scene.capacity:
        found.append(_more(scene, case, needed))
    if smaller:
        found.append(smaller)
    found.append(_tiles(scene, newest))
    return tuple(found)


def _more(scene: Scene, case: _Case, needed: int) -> str:
    owned = (
        f" ({words.count(len(case.whole), 'run')} of this size did not fall back with that much)"
        if case.same_size
        else " (from its size and the bytes per pixel that others took)"
    )
    if _limits(scene, case.slow):
        how = (
            "raise what keeps it in less: the limit of its worker, `max_bytes` of the user, "
            "`admission.max_job_bytes`, or the number of workers that share the GPU"
        )
    else:
        how = "turn on `probe.limit`, so that the memory it is promised is there when it needs it"
    return f"More reservation: about {words.memory(needed)}{owned}; {how}."


def _smaller(scene: Scene, case: _Case, newest: NodeFact) -> str:
    """The largest picture that passes at once in what there was; "": hardly any."""
    limits = _limits(scene, case.slow)
    room = limits[-1] if limits else scene.capacity
    left = room - _CONTEXT_BYTES - _weights(case)
    if case.same_size:
        # what lies beside the pixels may be moved out: believe the size that was seen to fit
        left = max(left, room - (_needed(scene, case) - _taken(case, newest)))
    fits = left / _bytes_per_pixel(case.whole) / max(1, newest.batch)
    scale = math.sqrt(max(0.0, fits) / (newest.width * newest.height))
    if scale >= 1:
        return ""
    width, height = (int(side * scale) // 64 * 64 for side in (newest.width, newest.height))
    if min(width, height) < 256:
        return ""
    return f"Lower resolution: up to {width}×{height} passes {case.class_type} at once in {words.memory(room)}."


def _taken(case: _Case, newest: NodeFact) -> int:
    return int(_bytes_per_pixel(case.whole) * newest.pixels)


def _tiles(scene: Scene, newest: NodeFact) -> str:
    """Tiles on purpose, with what runs of that node took, where there are any."""
    asked = [
        node.seconds / node.pixels * newest.pixels
        for node in scene.facts.nodes
        if node.class_type == newest.class_type + "Tiled" and node.pixels and scene.clean(node)
    ]
    known = (
        f": {words.seconds(median(sorted(asked)))} at this size, by "
        f"{words.count(len(asked), 'run')} of it"
        if len(asked) >= _LEAST
        else ", with tiles as large as fit (fewer overlaps), so that nothing is tried in vain first"
    )
    return f"Tiled VAE: {newest.class_type}Tiled in place of {newest.class_type}{known}."
