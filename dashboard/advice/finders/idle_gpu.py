"""A GPU that does nothing: while jobs wait elsewhere, or at certain hours of the day."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import Final

from dashboard.advice import words
from dashboard.advice.chance import at_least, share_interval, told
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
from dashboard.advice.scene import HOUR_MS, MINUTE_MS, Scene
from store.facts import GpuHour

#: Minutes that make an hour count, hours (days) that make a test.
_MINUTES: Final = 3
_LEAST: Final = 4
_USUAL: Final = 0.25
#: An hour of which this much was idle was idle; of which at least so many minutes are known.
_IDLE: Final = 0.9
_KNOWN: Final = 30
_DAYS: Final = 7
_HOURS: Final = 24
#: Among the hours of one GPU.
_LEVEL: Final = 0.05
#: Waits that no GPU could have ended.
_WANTED: Final = ("held", "budget")
_NAMES: Final = {
    "no_headroom": "free memory (no_headroom)",
    "cap": "a limit (cap)",
    "fairness": "their turn (fairness)",
    "model_missing": "a model or node (model_missing)",
    "no_worker": "a worker (no_worker)",
    "warm_soon": "a warm worker (warm_soon)",
    "releasing": "memory being released (releasing)",
}
_WHY: Final = {
    "model_missing": "install what is missing on its workers (models, node packs)",
    "cap": "raise the limit that keeps them (see the advice on limits)",
    "no_headroom": "the waiting jobs are larger than what it has free: let them run in less memory, or "
    "give this GPU other work",
    "no_worker": "start a worker on it (`agent.comfyui.workers_per_gpu`)",
    "warm_soon": "jobs wait for a warm worker: load their model here, too",
    "gpu_suspect": "look at why it is suspect (driver, memory errors)",
    "no_host_ram": "its machine lacks main memory",
}


class IdleGpu:
    """Exact binomial tests over hours and days."""

    kind = "idle_gpu"

    def find(self, scene: Scene) -> list[Tested]:
        """Two tests for each GPU: idle while jobs wait, and idle at the same hours each day."""
        hours: dict[str, list[GpuHour]] = defaultdict(list)
        for hour in scene.facts.hours:
            hours[hour.gpu].append(hour)
        waiting = _waiting(scene)
        tests = []
        for gpu, own in sorted(hours.items()):
            for test in (_beside_waits(scene, gpu, own, waiting), _by_hour(scene, gpu, own)):
                if test is not None:
                    tests.append(test)
        return tests


def _waiting(scene: Scene) -> dict[int, dict[int, Counter[str]]]:
    """Hour → minute → reasons, with the time that jobs waited for each."""
    found: dict[int, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for wait in scene.facts.waits:
        if wait.reason not in _WANTED:
            minutes = found[wait.minute_ms // HOUR_MS]
            minutes[wait.minute_ms][wait.reason] += wait.job_ms
    return found


def _beside_waits(
    scene: Scene, gpu: str, own: list[GpuHour], waiting: dict[int, dict[int, Counter[str]]]
) -> Tested | None:
    known = {hour.hour_ms // HOUR_MS for hour in own}
    full = {
        hour: minutes
        for hour, minutes in waiting.items()
        if hour in known and len(minutes) >= _MINUTES
    }
    if len(full) < _LEAST:
        return None
    idle = {
        hour: [minute for minute in minutes if gpu in scene.facts.idle.get(minute, ())]
        for hour, minutes in full.items()
    }
    bad = [hour for hour, minutes in idle.items() if len(minutes) >= len(full[hour]) / 2]
    reasons: Counter[str] = Counter()
    for hour, minutes in idle.items():
        for minute in minutes:
            reasons.update(full[hour][minute])
    p_value = at_least(len(bad), len(full), _USUAL)
    spans = [len(minutes) * MINUTE_MS / 1000 for minutes in idle.values()]
    return Tested(p_value, partial(_waits, scene, gpu, spans, len(bad), reasons, p_value))


def _waits(
    scene: Scene, gpu: str, spans: list[float], bad: int, reasons: Counter[str], p_value: float
) -> Finding:
    reason = reasons.most_common(1)[0][0]
    low, high = share_interval(bad, len(spans))
    why = _WHY.get(reason, "see why the jobs wait on the Contention page")
    return Finding(
        kind=IdleGpu.kind,
        subject=f"{gpu}/waits",
        title=f"GPU {gpu} does nothing while jobs wait elsewhere",
        cause=f"In {bad} of {words.count(len(spans), 'hour')} with jobs waiting, GPU {gpu} held "
        f"no job for at least half of the minutes in which they waited; most waited for {_NAMES.get(reason, reason)}.",
        remedies=(f"{why[0].upper()}{why[1:]}.",),
        gain=Gain(What.GPU_TIME, *scene.a_day(spans)),
        effect=Effect(bad / len(spans), low, high, "share"),
        proof=Proof(
            f"Exact binomial test over hours: in more than {words.share(_USUAL)} of the hours with "
            "waiting jobs it was idle for half of the minutes",
            p_value,
            bad,
            len(spans),
        ),
        figures=tuple(
            Figure(f"waiting meanwhile for {_NAMES.get(name, name)}", ms / 1000, "s")
            for name, ms in reasons.most_common(4)
        ),
        charts=(Chart("idle while jobs waited, by hour", "s", (Dots(gpu, tuple(spans[-60:])),)),),
        about=About(gpus=(gpu,)),
    )


def _by_hour(scene: Scene, gpu: str, own: list[GpuHour]) -> Tested | None:
    days: dict[int, list[float]] = defaultdict(list)
    for hour in own:
        if hour.known >= _KNOWN:
            days[hour.hour_ms // HOUR_MS % _HOURS].append(hour.idle / hour.known)
    tests = {
        clock: at_least(sum(part >= _IDLE for part in parts), len(parts), _USUAL)
        for clock, parts in days.items()
        if len(parts) >= _DAYS
    }
    if not tests:
        return None
    # 24 looks at one GPU are one test (Simes 1986), and the guard's own way says which hours it is
    ordered = sorted(tests.values())
    p_value = min(len(ordered) * p / rank for rank, p in enumerate(ordered, 1))
    clocks = sorted(tests)
    stands = told([tests[clock] for clock in clocks], max(_LEVEL, min(1.0, p_value)))
    hours = [clock for clock, stand in zip(clocks, stands, strict=True) if stand]
    return Tested(p_value, partial(_hours, scene, gpu, hours, days, p_value))


def _hours(
    scene: Scene, gpu: str, hours: list[int], days: dict[int, list[float]], p_value: float
) -> Finding:
    parts = [part for clock in hours for part in days[clock]]
    idle = [part * 3600 for part in parts]
    seen = sum(part >= _IDLE for part in parts)
    low, high = share_interval(seen, len(parts))
    return Finding(
        kind=IdleGpu.kind,
        subject=f"{gpu}/hours",
        title=f"GPU {gpu} is idle {_spans(hours)} UTC",
        cause=f"On {seen} of {len(parts)} looks at these hours GPU {gpu} held no job in nine of ten "
        "minutes.",
        remedies=(
            "Room for batch work: tell people to send long runs to the batch lane in the evening, "
            "or let the GPU do something else at these hours.",
        ),
        gain=Gain(What.SPARE, *scene.a_day(idle)),
        effect=Effect(seen / len(parts), low, high, "share"),
        proof=Proof(
            "Exact binomial tests over days for each hour of the day, put together by Simes: idle on more than "
            f"{words.share(_USUAL)} of the days",
            p_value,
            seen,
            len(parts),
        ),
        figures=(Figure("idle hours of a day", len(hours)),),
        charts=(
            Chart("idle share by hour of the day, UTC", "share", (
                Dots(gpu, tuple(
                    round(sum(days[clock]) / len(days[clock]), 3) if days.get(clock) else 0.0
                    for clock in range(_HOURS)
                )),
            ), line=True),
        ),
        about=About(gpus=(gpu,)),
    )  # fmt: skip


def _spans(hours: list[int]) -> str:
    """``22:00–24:00 and 0:00–7:00``."""
    spans: list[list[int]] = []
    for hour in hours:
        if spans and spans[-1][1] == hour:
            spans[-1][1] = hour + 1
        else:
            spans.append([hour, hour + 1])
    return " and ".join(f"{begin}:00–{end}:00" for begin, end in spans)
