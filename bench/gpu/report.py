"""All results so far as a table for people."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from bench.gpu.rows import Row, safety_bytes
from scheduler.states import Step
from simulator.mix.bound import Bound, bound
from simulator.mix.cases import Case, load_facts

_HEAD: Final = (
    f"{'when':16} {'GiB':>4} {'part':9} {'n':>2} {'ord':>3} {'×':>2} {'round':>5} {'time':>8} "
    f"{'÷ one':>6} {'÷ rr':>6} {'fail':>4} {'again':>5} {'tiled':>5} {'part.':>5} {'loads':>5} "
    f"{'busy':>5} {'wait':>6} {'p90':>6} {'bytes':>6} {'secs':>6}"
)
_ABOUT: Final = (
    "time: of the whole round; ÷: successful jobs per second against one ComfyUI, against round "
    "robin; again: retries; tiled, part.: fall-backs in workers' logs; loads: of models, told by "
    "the probe; busy: the card, mean; wait: median until a job starts; bytes, secs: median error "
    "of what was booked for kinds that had run three times before."
)


def table(found: Sequence[Row]) -> str:
    """One line for each round of each part, and the bound under each setting."""
    single = [row for row in found if "makespan_s" in row]
    runs = [*single, *_together(single)]
    lines = [_HEAD, *(_line(row, runs) for row in runs)]
    lines += _bounds(found)
    lines += [f"{row['at'][:16]} {row['part']}: {_facts(row)}" for row in found if "facts" in row]
    lines += [f"{row['at']} {row['part']} broke: {_last(row)}" for row in found if "broke" in row]
    return "\n".join([*lines, _ABOUT])


def _line(row: Row, runs: Sequence[Row]) -> str:
    marks = row.get("marks", {})
    gib = "all" if row["gib"] is None else f"{row['gib']:g}"
    return (
        f"{row['at'][:16]} {gib:>4} {row['part']:9} {row['workers']:2} {row['order']:3} "
        f"{row['times']:2} {row['round']!s:>5} {row['makespan_s']:6.1f} s "
        f"{_ratio(row, runs, 'one')} {_ratio(row, runs, 'rr')} {row['failed']:4} "
        f"{_text(row.get('retries'), '5')} {_text(marks.get('tiled', 0), '5')} "
        f"{_text(marks.get('partial', 0), '5')} {_text(row.get('loads'), '5')} "
        f"{_text(row['gpu_busy'], '5.0%')} {_text(row['wait_p50_s'], '6.1f')} "
        f"{_text(row['wait_p90_s'], '6.1f')} {_text(row.get('byte_error'), '6.1%')} "
        f"{_text(row.get('second_error'), '6.1%')}"
    )


def _together(runs: Sequence[Row]) -> list[Row]:
    """Rounds of one run added up, where there were several."""
    found: list[Row] = []
    open_: list[Row] = []
    for row in [*runs, None]:
        if open_ and (row is None or row["round"] == 1):
            if len(open_) > 1:
                found.append(_sum(open_))
            open_ = []
        if row is not None:
            open_.append(row)
    return found


def _sum(rounds: Sequence[Row]) -> Row:
    added = ("jobs", "failed", "makespan_s", "retries", "loads")
    marks: Counter[str] = Counter()
    for row in rounds:
        marks.update(row.get("marks", {}))
    busy = [row["gpu_busy"] for row in rounds if row["gpu_busy"] is not None]
    return {
        **rounds[-1],
        **{name: sum(row.get(name) or 0 for row in rounds) for name in added},
        "marks": marks,
        "gpu_busy": statistics.fmean(busy) if busy else None,
        "wait_p50_s": None,
        "wait_p90_s": None,
        "byte_error": None,
        "second_error": None,
        "round": f"1-{len(rounds)}",
    }


def _ratio(row: Row, runs: Sequence[Row], part: str) -> str:
    """Successful jobs per second against those of another part in the same setting.

    Against the same round where there is one, else against any.
    """
    others = [
        other
        for other in runs
        if other["part"] == part and _setting(other) == _setting(row) and other["makespan_s"]
    ]
    same = [other for other in others if other["round"] == row["round"]]
    rate = statistics.fmean(_rate(other) for other in same or others) if others else 0.0
    if not rate or not row["makespan_s"]:
        return f"{'':6}"
    return f"{_rate(row) / rate:5.2f}×"


def _rate(row: Row) -> float:
    return float((row["jobs"] - row["failed"]) / row["makespan_s"])


def _setting(row: Row) -> tuple[Any, ...]:
    return (row["gpu"], row["gib"], row["order"], row["times"])


def _bounds(found: Sequence[Row]) -> list[str]:
    lines = []
    for row in found:
        if row["part"] != "warm" or "warm" not in row:
            continue
        lines.append(
            f"{row['at'][:16]} {row['gpu']}, ComfyUI {row['comfyui']}, torch {row['pytorch']}: "
            f"{row['warm_sum_s']:.1f} s of warm work on one worker"
        )
        floor = _floor(row)
        if floor is not None:
            lines[-1] += (
                f"; bound {floor.seconds:.1f} s = {floor.warm_seconds:.1f} s ÷ {floor.gain:.2f} + "
                f"{floor.load_seconds:.1f} s of first use and loads"
            )
    return lines


def _floor(row: Row, workers: int = 4) -> Bound | None:
    """The least time for the mix, with run times as measured here; None: not known of this mix."""
    facts = load_facts()
    warm: dict[str, float] = row["warm"]
    if row["gib"] is None or any(name not in warm for name in facts.cases):
        return None
    total = int(row["gib"] * 2**30)
    return bound(
        [_measured(case, warm[case.name]) for case in facts.mix()],
        capacity_bytes=total - safety_bytes(total),
        workers=workers,
        context_bytes=facts.context_bytes,
    )


def _measured(case: Case, seconds: float) -> Case:
    by = seconds / case.run_seconds
    curve = tuple(Step(step.bytes, step.seconds * by) for step in case.curve)
    return replace(case, run_seconds=seconds, curve=curve)


def _text(value: float | None, form: str) -> str:
    width = int(form.partition(".")[0])
    return " " * width if value is None else format(value, form)


def _facts(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row["facts"].items())


def _last(row: Row) -> str:
    return str(row["broke"]).strip().rpartition("\n")[2]
