"""Rows of the store as entries of a file; what is redacted is redacted here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.advice.body import seen_by
from dashboard.perf_json.redaction import Names
from dashboard.perf_json.shapes import (
    Advice,
    Alert,
    Gap,
    Job,
    Move,
    Node,
    Queue,
    Run,
    Samples,
    Usage,
    Wait,
)
from store.advice import KeptAdvice
from store.records import UsageSum

Row = Mapping[str, Any]


def job(row: Row, model: str, names: Names) -> Job:
    """An ended job."""
    return Job(
        user=names.user(row["user_name"]),
        group=names.group(row["group_name"]),
        reason=row["reason"] or "",
        model=names.model(model),
        **_same(
            row, "id", "state", "lane", "fingerprint", "worker", "gpu", "attempts", "losses", "ooms",
            "submitted_ms", "admitted_ms", "started_ms", "ended_ms", "need_bytes", "need_seconds",
            "reserved_bytes", "peak_bytes", "run_seconds",
        ),
    )  # fmt: skip


def run(row: Row, names: Names) -> Run:
    """An attempt, and what its probe said of it."""
    told: Row = {}
    if row["result"] is not None:
        told = {"result": names.word(row["result"])} | _same(
            row, "started_ms", "seconds", "nodes", "cached", "peak_allocated",
            "peak_reserved", "allocated_before", "allocated_after", "reserved_before",
            "reserved_after", "limit_bytes", "loads", "load_seconds", "overlap",
        )  # fmt: skip
    return Run(
        job=row["job_id"],
        user=names.user(row["user_name"]),
        worker=row["worker"] or "",
        gpu=row["gpu"] or "",
        state=row["state"] or "",
        reason=row["reason"] or "",
        retained=json.loads(row["retained"] or "{}"),
        **_same(row, "attempt", "admitted_ms", "claimed_ms", "ended_ms", "reserved_bytes"),
        **told,
    )


def node(row: Row, names: Names, *, values: bool) -> Node:
    """A node run; ``values``: with shapes and numbers of what went in and out."""
    told = json.loads(row["shapes"] or "{}") if values else {}
    return Node(
        job=row["job_id"],
        node=names.node(row["node"]),
        display=names.node(row["display"]),
        cls=row["class_type"],
        error=names.word(row["error"]),
        fallback=names.word(row["fallback"]),
        inputs=names.values(told.get("inputs")),
        outputs=names.values(told.get("outputs")),
        result=names.word(row["result"]),
        **_same(
            row, "attempt", "started_ms", "seconds", "calls", "cached", "before_bytes", "after_bytes",
            "peak_bytes", "out_bytes",
        ),
    )  # fmt: skip


def move(row: Row, names: Names) -> Move:
    """A model that came or went."""
    return Move(
        job=row["job_id"],
        node=names.node(row["node"]),
        what=names.word(row["what"]),
        model=names.word(row["model"]),
        **_same(row, "at_ms", "worker", "attempt", "bytes", "loaded_bytes"),
        seconds=row["seconds"],
    )


def samples(gpu: str, step_s: int, some: Sequence[Row]) -> Samples:
    """A GPU's samples as columns."""
    names = (
        "at_ms", "foreign_bytes", "resident_bytes", "reserved_bytes", "free_bytes", "temperature",
        "power_mw",
    )  # fmt: skip
    shares = [_share(row["utilisation"]) for row in some]
    columns = {name: [row[name] for row in some] for name in names}
    return Samples(gpu=gpu, step_s=step_s, utilisation=shares, **columns)


def _share(value: float | None) -> float | None:
    # three digits: a hundredth of a per cent is nothing that a driver measures
    return None if value is None else round(min(1.0, max(0.0, value)), 3)


def queue(step_s: int, some: Sequence[Row]) -> Queue:
    """How much waited and ran, as columns."""
    columns = {name: [row[name] for row in some] for name in ("at_ms", "queued", "running")}
    return Queue(step_s=step_s, **columns)


def wait(row: Row, names: Names) -> Wait:
    """What jobs waited for."""
    blocker = names.subject(row["blocker"])
    return Wait(reason=row["reason"], blocker=blocker, job_ms=int(row["job_ms"]))


def usage(one: UsageSum, names: Names) -> Usage:
    """What a user used."""
    return Usage(
        user=names.user(one.name),
        gpu_us=one.gpu_us,
        byte_ms=one.byte_ms,
        cost_us=one.cost_us,
        energy_mj=one.energy_mj,
        jobs=one.jobs,
        failed=one.failed,
        wait_ms=one.wait_ms,
    )


def alert(row: Row, names: Names) -> Alert:
    """Something that somebody should know."""
    told = _same(row, "rule", "since_ms", "ended_ms", "value", "worst", "threshold", "severity")
    return Alert(subject=names.subject(row["subject"]), **told)


def advice(one: KeptAdvice, user: str | None, names: Names) -> Advice:
    """What makes work slow. ``user``: whose file it is; None: the admins'."""
    body = seen_by(one.body, user)
    who, models = one.body["users"], body["about"]["models"]
    return Advice(
        kind=one.kind,
        title=names.text(body["title"], who, models),
        remedies=[names.text(remedy, who, models) for remedy in body["remedies"]],
        since_ms=one.since_ms,
        ended_ms=one.ended_ms,
        gain_in=body["gain_in"],
        gain=one.gain,
        shown=body["proof"]["shown"],
        jobs=[witness["job"] for witness in body["jobs"]],
    )


def gap(row: Row) -> Gap:
    """Records that are lost."""
    return Gap(**_same(row, "subject", "until_ms", "lost", "why"))


def _same(row: Row, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names}
