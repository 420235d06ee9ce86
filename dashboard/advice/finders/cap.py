"""A limit that keeps somebody waiting while GPUs have nothing to do."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.chance import at_least, share_interval
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
from dashboard.advice.scene import HOUR_MS, Scene
from store.facts import WaitFact

#: Minutes of waiting that make an hour count, hours that make a test.
_MINUTES: Final = 3
_LEAST: Final = 4
#: An hour in which a GPU was idle half of the time counts; so many of them may.
_HALF: Final = 0.5
_USUAL: Final = 0.25


class Cap:
    """Exact binomial test over hours: waits under a limit meet idle GPUs in more than a quarter."""

    kind = "cap"

    def find(self, scene: Scene) -> list[Tested]:
        """One test for each user who waited for a limit's sake."""
        waits: dict[str, dict[int, list[WaitFact]]] = defaultdict(lambda: defaultdict(list))
        for wait in scene.facts.waits:
            if wait.reason == "cap":
                waits[wait.user][wait.minute_ms // HOUR_MS].append(wait)
        tests = []
        for user, hours in sorted(waits.items()):
            full = {hour: some for hour, some in hours.items() if len(some) >= _MINUTES}
            if len(full) < _LEAST:
                continue
            starved = [hour for hour, some in full.items() if _met_idle(scene, some)]
            p_value = at_least(len(starved), len(full), _USUAL)
            build = partial(_finding, scene, user, full, starved, p_value)
            tests.append(Tested(p_value, build))
        return tests


def _idle(scene: Scene, wait: WaitFact) -> bool:
    return bool(scene.facts.idle.get(wait.minute_ms))


def _met_idle(scene: Scene, waits: list[WaitFact]) -> bool:
    return sum(_idle(scene, wait) for wait in waits) >= _HALF * len(waits)


def _finding(
    scene: Scene,
    user: str,
    hours: dict[int, list[WaitFact]],
    starved: list[int],
    p_value: float,
) -> Finding:
    lost = [
        sum(wait.job_ms for wait in some if _idle(scene, wait)) / 1000 for some in hours.values()
    ]
    gpus = sorted(
        {
            gpu
            for some in hours.values()
            for wait in some
            for gpu in scene.facts.idle.get(wait.minute_ms, ())
        }
    )
    low, high = share_interval(len(starved), len(hours))
    return Finding(
        kind=Cap.kind,
        subject=user,
        title=f"A limit kept {user}'s jobs waiting while {words.count(len(gpus), 'GPU')} did nothing",
        cause=f"In {len(starved)} of {words.count(len(hours), 'hour')} in which {user}'s jobs waited "
        "for a limit (cap), a GPU held no job for at least half of that time; "
        f"{words.seconds(sum(lost))} of waiting in all.",
        remedies=(
            f"Raise `max_running` or `vram_share` of {user} (or of the group): others keep their "
            "turns, which go by GPU time and not by limits.",
            "Or let only the limit of busy hours stand: shares see to it that nobody is crowded out.",
        ),
        gain=Gain(What.WAITING, *scene.a_day(lost)),
        effect=Effect(len(starved) / len(hours), low, high, "share"),
        proof=Proof(
            f"Exact binomial test over hours: in more than {words.share(_USUAL)} of the hours with "
            "waits for a limit a GPU was idle half of the time",
            p_value,
            len(starved),
            len(hours),
        ),
        figures=(
            Figure("hours with such waits", len(hours)),
            Figure("of these with an idle GPU", len(starved)),
            Figure("waiting while a GPU was idle", sum(lost), "s"),
        ),
        charts=(
            Chart("waiting while a GPU was idle, by hour", "s", (Dots("waiting", tuple(lost[-60:])),)),
        ),
        about=About(gpus=tuple(gpus)),
        users=(user,),
    )  # fmt: skip
