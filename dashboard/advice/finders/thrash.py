"""Models that push one another off a GPU, to be loaded again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from dashboard.advice import words
from dashboard.advice.chance import at_least, share_interval
from dashboard.advice.evidence import users_of, witnesses
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
from store.facts import JobFact, MoveFact

_LEAST: Final = 10
#: A pool whose jobs load a model again no more often than this is a good one.
_USUAL: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Card:
    """A GPU's jobs, oldest first, and the loads that were no first ones."""

    gpu: str
    jobs: tuple[JobFact, ...]
    #: job → its loads of models that its worker had had before
    again: dict[str, list[MoveFact]]


class Thrash:
    """Exact binomial test: more than 10 % of a GPU's jobs load a model that was there before."""

    kind = "thrash"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each GPU."""
        again = _again(scene)
        by_gpu: dict[str, list[JobFact]] = defaultdict(list)
        for prompt in scene.facts.prompts:
            if prompt.gpu and prompt.job in scene.jobs:
                by_gpu[prompt.gpu].append(scene.jobs[prompt.job])
        tests = []
        for gpu, jobs in sorted(by_gpu.items()):
            if len(jobs) < _LEAST:
                continue
            own = {job.id: again[job.id] for job in jobs if job.id in again}
            p_value = at_least(len(own), len(jobs), _USUAL)
            card = _Card(gpu, tuple(jobs), own)
            tests.append(Tested(p_value, partial(_finding, scene, card, p_value)))
        return tests


def _again(scene: Scene) -> dict[str, list[MoveFact]]:
    seen: set[tuple[str, str, str]] = set()
    found: dict[str, list[MoveFact]] = defaultdict(list)
    for move in scene.facts.moves:
        key = (move.worker, move.boot, move.model)
        if move.load and move.seconds > 0:
            if key in seen and move.job:
                found[move.job].append(move)
            seen.add(key)
    return found


def _finding(scene: Scene, card: _Card, p_value: float) -> Finding:
    moves = [move for some in card.again.values() for move in some]
    lost: Counter[str] = Counter()
    sizes: dict[str, int] = {}
    for move in moves:
        lost[move.model] += move.seconds  # type: ignore[assignment]
        sizes[move.model] = move.bytes
    first = lost.most_common(1)[0][0]
    pair = _pair(card)
    low, high = share_interval(len(card.again), len(card.jobs))
    part = len(card.again) / len(card.jobs)
    flows = sorted({scene.jobs[job].fingerprint for job in card.again})
    both = " and ".join(words.model(name) for name in pair) if pair else words.model(first)
    return Finding(
        kind=Thrash.kind,
        subject=card.gpu,
        title=f"{both} push each other off GPU {card.gpu}",
        cause=f"{len(card.again)} of {words.count(len(card.jobs), 'job')} on GPU {card.gpu} loaded "
        f"a model again that had been there before, in {words.count(len(flows), 'workflow')}: "
        f"{words.seconds(sum(lost.values()))} went into loads.",
        remedies=_remedies(scene, card, first, sizes),
        gain=Gain(
            What.GPU_TIME,
            *scene.a_day(sum(move.seconds for move in some) for some in card.again.values()),
        ),
        effect=Effect(part, low, high, "share"),
        proof=Proof(
            f"Exact binomial test: more than {words.share(_USUAL)} of a GPU's jobs load a model "
            "that their worker had before",
            p_value,
            len(card.again),
            len(card.jobs),
        ),
        figures=tuple(
            Figure(f"loading {words.model(name)} again", seconds, "s")
            for name, seconds in lost.most_common(5)
        ),
        charts=(
            Chart("seconds of loads that were no first ones, by job", "s", (
                Dots("loads", tuple(
                    round(sum(m.seconds for m in card.again.get(job.id, [])), 3)
                    for job in card.jobs[-60:]
                )),
            )),
        ),
        jobs=witnesses(scene, (
            (job, words.seconds(sum(move.seconds for move in some)) + " of loads")
            for job, some in card.again.items()
        )),
        about=About(tuple(flows), models=_models(lost, pair), gpus=(card.gpu,)),
        users=users_of(scene.jobs[job] for job in card.again),
        models_of=_models_of(scene, card),
    )  # fmt: skip


def _models(lost: Iterable[str], pair: tuple[str, str] | None) -> tuple[str, ...]:
    """All that the texts name."""
    return tuple(sorted({*lost, *(pair or ())}))


def _models_of(scene: Scene, card: _Card) -> dict[str, tuple[str, ...]]:
    """User → models of the user's own jobs."""
    found: dict[str, set[str]] = defaultdict(set)
    for job in card.jobs:
        found[job.user].add(job.model)
    for move in scene.facts.moves:
        if move.job in scene.jobs:
            found[scene.jobs[move.job].user].add(move.model)
    return {user: tuple(sorted(models - {""})) for user, models in found.items()}


def _pair(card: _Card) -> tuple[str, str] | None:
    """The two models that most often follow one another on one worker."""
    by_worker: dict[str, list[str]] = defaultdict(list)
    for job in card.jobs:
        if job.model:
            by_worker[job.worker].append(job.model)
    changes = Counter(
        (min(one, other), max(one, other))
        for models in by_worker.values()
        for one, other in pairwise(models)
        if one != other
    )
    return changes.most_common(1)[0][0] if changes else None


def _remedies(scene: Scene, card: _Card, first: str, sizes: dict[str, int]) -> tuple[str, ...]:
    name = words.model(first)
    workers = Counter(
        move.worker for some in card.again.values() for move in some if move.model == first
    )
    worker = workers.most_common(1)[0][0]
    other = next((hour.gpu for hour in reversed(scene.facts.hours) if hour.gpu != card.gpu), "")
    pin = (
        f"Pin {name} to one worker (now it comes and goes on {worker}): one more worker on GPU "
        f"{card.gpu} keeps it beside the others"
    )
    if sum(sizes.values()) > scene.capacity > 0:
        pin = (
            f"GPU {card.gpu} cannot hold them together ({words.memory(sum(sizes.values()))} of "
            f"weights): pin {name} to "
            + (f"GPU {other}" if other else "a GPU of its own")
            + ", so that the others stay here"
        )
    return (
        pin + ".",
        f"Send prompts with {name} one after the other, in the batch lane: then they share a load.",
    )
