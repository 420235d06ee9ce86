"""What was played as rows of the store, by table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from dashboard.history.rows import attempt_row, job_row
from scheduler.ledger_values import Ending, Event
from simulator.day.curves import curve_rows
from simulator.day.machine import Played
from simulator.day.play import Days
from simulator.day.scripts import NodeStep, cut
from simulator.world.simple_machine import CONTEXT_BYTES

Row = dict[str, Any]
#: records that a probe lost when its host went away
_LOST: Final = 240
#: bytes of an element
_DTYPES: Final = {"float16": 2, "float32": 4}
_RESULTS: Final = {Ending.SUCCEEDED: "success", Ending.FAILED: "error", Ending.OOM: "error"}


def rows_of(days: Days) -> dict[str, list[Row]]:
    """By table: jobs, attempts, prompts, nodes, moves, curves, gaps."""
    return {
        "jobs": _jobs(days),
        "attempts": list(_attempts(days.events)),
        "prompts": list(_prompts(days)),
        "nodes": [row for one in days.played for row in _nodes(days, one)],
        "moves": list(_moves(days)),
        "curves": [row for one in days.played for row in curve_rows(one, days)],
        "gaps": list(_gaps(days)),
    }


def _ms(days: Days, at: float) -> int:
    return days.from_ms + int(at * 1000)


def _jobs(days: Days) -> list[Row]:
    return [
        job_row(job, days.posted[job.id].body, _result(job.state.value))
        for job in days.jobs.values()
    ]


def _result(state: str) -> bytes:
    word = "success" if state == "SUCCEEDED" else "error"
    status = {"status_str": word, "completed": word == "success", "messages": []}
    return json.dumps({"outputs": {}, "status": status, "meta": {}}).encode()


def _attempts(events: list[Event]) -> Iterator[Row]:
    found: dict[tuple[str, int], Row] = {}
    for event in events:
        row = attempt_row(event)
        if row is not None:
            key = (row["job_id"], row["attempt"])
            blank = dict.fromkeys(
                ("worker", "gpu", "admitted_ms", "claimed_ms", "ended_ms", "state", "reason",
                 "reserved_bytes", "cost_us")
            )  # fmt: skip
            found[key] = found.get(key, blank) | row
    yield from found.values()


def _prompts(days: Days) -> Iterator[Row]:
    for one in days.played:
        if one.end is not None and _ms(days, one.end) < days.until_ms:
            yield _prompt(days, one, one.end)


def _prompt(days: Days, one: Played, end: float) -> Row:
    peak = one.peak_bytes - CONTEXT_BYTES
    before, after = (max(0, size - CONTEXT_BYTES) for size in (one.before_bytes, one.after_bytes))
    steps = one.script.nodes
    return {
        **_whose(one),
        "worker": one.worker,
        "gpu": one.gpu,
        "started_ms": _ms(days, one.start),
        "seconds": end - one.start,
        "result": _RESULTS.get(one.ending, "interrupted") if one.ending else "interrupted",
        "nodes": len(steps),
        "cached": sum(step.cached for step in steps),
        "peak_allocated": int(peak * 0.94),
        "peak_reserved": peak,
        "allocated_before": int(before * 0.97),
        "allocated_after": int(after * 0.97),
        "reserved_before": before,
        "reserved_after": after,
        "limit_bytes": one.grant_bytes or None,
        "loads": len(one.loaded),
        "load_seconds": one.script.load_seconds,
        "overlap": False,
        "retained": None,
    }


def _whose(one: Played) -> Row:
    job = one.posted.draft.job
    return {"job_id": job.id, "attempt": one.attempt, "user_name": job.user}


def _nodes(days: Days, one: Played) -> Iterator[Row]:
    end = (days.until_ms - days.from_ms) / 1000 if one.end is None else one.end
    if one.end is None and one.ending is None:
        end = min(end, _lost_at(days, one))
    for step in cut(one.script, end - one.start + 1e-6):
        yield _node(days, one, step)


def _lost_at(days: Days, one: Played) -> float:
    """When its host went away under it; the end of all where it did not."""
    agent = one.worker.rpartition("-")[0]
    away = [fault.begin for fault in days.mishaps if fault.agent == agent]
    return min((at for at in away if at >= one.start), default=float("inf"))


def _node(days: Days, one: Played, step: NodeStep) -> Row:
    kind = step.kind
    weights = sum(one.posted.workflow.models.values())
    held = 0 if kind is one.script.nodes[0].kind else weights
    peak = held + kind.work_bytes
    if kind.class_type == "KSampler":
        peak = int((one.peak_bytes - CONTEXT_BYTES) * 0.94)
    if step.tiled:
        peak = held + kind.work_bytes // 4
    return {
        **_whose(one),
        "node": kind.id,
        "display": "",
        "class_type": kind.class_type,
        "started_ms": _ms(days, one.start + step.begin),
        "seconds": step.seconds,
        "calls": 1,
        "cached": step.cached,
        "result": "failure" if step.error else "success",
        "error": step.error or None,
        "before_bytes": held,
        "after_bytes": held,
        "peak_bytes": None if step.cached else min(peak, one.peak_bytes),
        "out_bytes": None if step.cached else _size(kind.shape, kind.dtype),
        "shapes": _shapes(one, step),
        "fallback": "tiled" if step.tiled else None,
        "capture": None,
    }


def _size(shape: tuple[int, ...], dtype: str) -> int:
    size = _DTYPES[dtype] if shape else 0
    for side in shape:
        size *= side
    return size


def _shapes(one: Played, step: NodeStep) -> str | None:
    """What the probe tells of a node: scalars, texts as digests only."""
    if step.cached:
        return None
    graph = json.loads(one.posted.body)["prompt"][step.kind.id]["inputs"]
    inputs = {
        name: hashlib.sha256(value.encode()).hexdigest()[:12] if name == "text" else value
        for name, value in graph.items()
        if not isinstance(value, list)
    }
    outputs = {}
    if step.kind.shape and not step.error:
        outputs = {"0": {"shape": list(step.kind.shape), "dtype": step.kind.dtype}}
    return json.dumps({"inputs": inputs, "outputs": outputs})


def _moves(days: Days) -> Iterator[Row]:
    sizes = {
        model: size for one in days.posted.values() for model, size in one.workflow.models.items()
    }
    counts: dict[str, int] = {}
    for at, worker, what, model, seconds, whose in _all_moves(days):
        if _ms(days, at) < days.until_ms:
            counts[worker] = counts.get(worker, 0) + 1
            yield {
                **whose,
                "worker": worker,
                "boot": "day",
                "seq": counts[worker],
                "at_ms": _ms(days, at),
                "what": what,
                "model": model,
                "bytes": sizes[model],
                "loaded_bytes": sizes[model],
                "seconds": seconds,
            }


def _all_moves(days: Days) -> Iterator[tuple[float, str, str, str, float, Row]]:
    """Time, worker, what, model, seconds, and whose."""
    nobody = {"job_id": "", "attempt": 0, "user_name": "", "node": ""}
    for freed in days.freed:
        for model in freed.models:
            yield freed.at, freed.worker, "unload", model, 0.0, nobody
    for one in days.played:
        whose = _whose(one) | {"node": one.script.nodes[0].kind.id}
        for model in one.dropped:
            yield one.start, one.worker, "unload", model, 0.0, whose
        each = one.script.load_seconds / max(1, len(one.loaded))
        for place, model in enumerate(one.loaded, 1):
            yield one.start + 0.02 + place * each, one.worker, "load", model, each, whose


def _gaps(days: Days) -> Iterator[Row]:
    workers = {one.worker for one in days.played}
    for mishap in days.mishaps:
        for worker in sorted(workers) if mishap.agent else ():
            if worker.rpartition("-")[0] == mishap.agent:
                yield {
                    "subject": f"worker:{worker}",
                    "until_ms": _ms(days, mishap.end),
                    "lost": _LOST,
                    "why": "the host was away",
                }
