"""A job whose estimate is a third of the truth, beside neighbours: who pays for the lie?"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench.gpu.clients import Posted, wait_all
from bench.gpu.jobs import graph
from bench.gpu.setting import Setting, say
from bench.gpu.shared import plan
from bench.gpu.studio import Studio
from scheduler.histogram import Histogram
from scheduler.profile import Known, from_json, to_json

#: who lies, and who works beside it
_LIAR: Final = "sdxl-1024-1024-4-30"
_NEIGHBOUR: Final = "sd15-512-512-1-20"
_REHEARSED: Final = ("sd15-small-64-64-1-3", "plain-64-64-1-1")
_SHARE: Final = 1 / 3
#: co-runs of each kind, in turns
_TIMES: Final = 5
#: neighbour's jobs beside one of the liar's
_BESIDE: Final = 6
#: runs of each that teach their profiles before
_TAUGHT: Final = 3


@dataclass(frozen=True, slots=True)
class _CoRun:
    """One job of the liar's with the neighbour's beside it."""

    need_bytes: int
    reserved_bytes: int
    peak_bytes: int
    attempts: int
    own_s: float | None
    #: of the neighbour's jobs that ran beside it from their start to their end
    beside_s: tuple[float, ...]
    failed: int


async def lying_estimate(setting: Setting) -> None:
    """Truth and lie in turns, medians of all."""
    liar, neighbour = _REHEARSED if setting.cpu else (_LIAR, _NEIGHBOUR)
    async with Studio.open(setting.place("lie"), plan(setting, 2)) as studio:
        fingerprint = await _teach(setting, studio, liar, neighbour)
        truth, lie = await _profiles(studio, fingerprint)
        runs: dict[str, list[_CoRun]] = {"truth": [], "lie": []}
        for number in range(_TIMES):
            for turn, (name, profile) in enumerate((("truth", truth), ("lie", lie))):
                await studio.ledger.put_profiles({fingerprint: profile})
                seed = 1000 * (1 + 2 * number + turn)  # no two share any work
                run = await _together(setting, studio, liar, neighbour, seed)
                runs[name].append(run)
                say(f"{name}: own {run.own_s} s, neighbour {run.beside_s}")
    each = {name: [asdict(run) for run in found] for name, found in runs.items()}
    facts = {name: _medians(found) for name, found in runs.items()}
    slower = _ratio(facts["lie"]["beside_s"], facts["truth"]["beside_s"])
    own = _ratio(facts["lie"]["own_s"], facts["truth"]["own_s"])
    told: dict[str, Any] = {"liar": liar, "neighbour": neighbour, **facts}
    told |= {"neighbour_x": slower, "liar_x": own}
    setting.note("lie", {"workers": 2, "facts": told, "each": each})


async def _teach(setting: Setting, studio: Studio, liar: str, neighbour: str) -> str:
    """Let both be learned, on workers of their own; the liar's fingerprint.

    Raises:
        RuntimeError: it does not run even alone.
    """
    for number in range(_TAUGHT):
        posted = [
            await studio.seats["ann"].post(liar, graph(liar, number)),
            await studio.seats["bob"].post(neighbour, graph(neighbour, number)),
        ]
        await wait_all(posted, setting.limit_s)
        await studio.idle()
    job = await studio.ledger.find("ann", posted[0].prompt_id)
    if job is None or not posted[0].succeeded:
        raise RuntimeError(f"{liar} does not run alone: {posted[0].result}")
    return job.fingerprint


async def _profiles(studio: Studio, fingerprint: str) -> tuple[bytes, bytes]:
    """What was learned, and the same with a third of the bytes."""
    record = (await studio.ledger.all_profiles())[fingerprint]
    profile = from_json(record)
    if profile is None:
        raise RuntimeError("the profile is of another version than the scheduler's")
    bound = replace(profile.bytes.bound, value=profile.bytes.bound.value * _SHARE)
    lie = replace(profile, bytes=Known(Histogram(), bound))
    return record, to_json(lie).encode()


async def _together(
    setting: Setting, studio: Studio, liar: str, neighbour: str, seed: int
) -> _CoRun:
    ann, bob = studio.seats["ann"], studio.seats["bob"]
    own = await ann.post(liar, graph(liar, seed))
    async with asyncio.timeout(setting.limit_s):
        await own.begun.wait()
    beside = [await bob.post(neighbour, graph(neighbour, seed + k)) for k in range(_BESIDE)]
    await wait_all([own, *beside], setting.limit_s)
    await studio.idle()
    job = await studio.ledger.find("ann", own.prompt_id)
    return _CoRun(
        need_bytes=0 if job is None else job.need_bytes,
        reserved_bytes=0 if job is None else job.reserved_bytes,
        peak_bytes=0 if job is None else job.peak_bytes,
        attempts=0 if job is None else job.attempt,
        own_s=_seconds(own),
        beside_s=tuple(_inside(own, beside)),
        failed=sum(not one.succeeded for one in (own, *beside)),
    )


def _inside(own: Posted, beside: Sequence[Posted]) -> list[float]:
    """Seconds of those that ran while ``own`` did."""
    if own.ended_at is None:
        return []
    inside = [one for one in beside if one.ended_at is not None and one.ended_at <= own.ended_at]
    return [seconds for one in inside if (seconds := _seconds(one)) is not None]


def _seconds(one: Posted) -> float | None:
    if one.started_at is None or one.ended_at is None:
        return None
    return round(one.ended_at - one.started_at, 3)


def _medians(runs: Sequence[_CoRun]) -> dict[str, Any]:
    own = [run.own_s for run in runs if run.own_s is not None]
    beside = [seconds for run in runs for seconds in run.beside_s]
    return {
        "runs": len(runs),
        "failed": sum(run.failed for run in runs),
        "attempts": sum(run.attempts for run in runs),
        "need": int(statistics.median(run.need_bytes for run in runs)),
        "reserved": int(statistics.median(run.reserved_bytes for run in runs)),
        "peak": int(statistics.median(run.peak_bytes for run in runs)),
        "own_s": statistics.median(own) if own else None,
        "beside": len(beside),
        "beside_s": statistics.median(beside) if beside else None,
    }


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else round(one / other, 3)
