"""A job as a trace: its wait, its attempts, in each the models that were loaded and the nodes. Pure.

Trace and spans have ids that are made of the job's, so that several recorders, or one that was
killed and does its work again, tell of the same spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec

from store.traces import Kept

Row = Mapping[str, Any]
Attribute = str | int | float | bool
_MS: Final = 1_000_000
_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
#: ids of nodes are the client's to choose; one that looks like text stays here
_NODE_ID: Final = re.compile(r"[0-9][0-9:.]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One stretch of time."""

    id: int
    #: None: the root
    parent: int | None
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    #: why it failed; None: it did not
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A job."""

    id: int
    spans: tuple[Span, ...]
    #: trace and span of the client that sent it
    link: tuple[int, int] | None


class _Ours(msgspec.Struct):
    traceparent: str = ""


class _Extra(msgspec.Struct):
    vramgate: _Ours = msgspec.field(default_factory=_Ours)


class _Body(msgspec.Struct):
    extra_data: _Extra = msgspec.field(default_factory=_Extra)


_decode = msgspec.json.Decoder(_Body).decode


def link_of(prompt: bytes | None) -> tuple[int, int] | None:
    """Trace and span that a prompt's client named by W3C's ``traceparent``; None: it named none."""
    if prompt is None or b'"traceparent"' not in prompt:
        return None
    try:
        told = _decode(prompt).extra_data.vramgate.traceparent
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    found = _PARENT.fullmatch(told)
    if found is None or found[1] == "ff":
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    return (trace, span) if trace and span else None


def trace_of(
    job: Row, kept: Kept, pool: str, link: tuple[int, int] | None, *, users: bool
) -> Trace:
    """The trace of an ended job.

    Args:
        job: its row, bodies are not looked at.
        kept: what the store has of it.
        pool: an attribute of the root.
        link: the client's own span.
        users: say whose it was.
    """
    root = _id(job["id"])
    about = {
        "vramgate.pool": pool,
        "vramgate.job.id": job["id"],
        "vramgate.job.state": job["state"],
        "vramgate.job.lane": job["lane"],
        "vramgate.job.group": job["group_name"],
        "vramgate.job.workflow": job["fingerprint"],
        "vramgate.job.attempts": job["attempts"],
        "vramgate.job.reserved_bytes": job["reserved_bytes"],
        "vramgate.job.peak_bytes": job["peak_bytes"],
    }
    if users:
        about["enduser.id"] = job["user_name"]
    whole = Span(
        id=root,
        parent=None,
        name="job",
        start_ns=job["submitted_ms"] * _MS,
        end_ns=job["ended_ms"] * _MS,
        attributes=about,
        error=(job["reason"] or "failed") if job["state"] == "FAILED" else None,
    )
    spans = (whole, *_tries(job, kept, root))
    return Trace(id=_trace_id(job["id"]), spans=spans, link=link)


def _tries(job: Row, kept: Kept, root: int) -> Iterator[Span]:
    since_ms = job["submitted_ms"]
    for row in kept.attempts:
        if row["admitted_ms"] is None:
            continue
        number = row["attempt"]
        yield Span(
            id=_id(job["id"], number, "queue"),
            parent=root,
            name="queue",
            start_ns=since_ms * _MS,
            end_ns=max(since_ms, row["admitted_ms"]) * _MS,
        )
        since_ms = row["ended_ms"] or job["ended_ms"]
        yield from _try(job, kept, row, root, since_ms)
    if not kept.attempts:  # it never ran
        yield Span(
            id=_id(job["id"], 0, "queue"),
            parent=root,
            name="queue",
            start_ns=since_ms * _MS,
            end_ns=job["ended_ms"] * _MS,
        )


def _try(job: Row, kept: Kept, row: Row, root: int, end_ms: int) -> Iterator[Span]:
    number = row["attempt"]
    own = _id(job["id"], number)
    failed = row["reason"] if row["state"] in ("FAILED", "QUEUED") else None
    yield Span(
        id=own,
        parent=root,
        name=f"attempt {number}",
        start_ns=row["admitted_ms"] * _MS,
        end_ns=max(row["admitted_ms"], end_ms) * _MS,
        attributes=_told(
            {
                "vramgate.worker": row["worker"],
                "vramgate.gpu": row["gpu"],
                "vramgate.reserved_bytes": row["reserved_bytes"],
                "vramgate.attempt.state": row["state"],
            }
        ),
        error=failed,
    )
    for move in kept.moves:
        if move["attempt"] == number and move["what"] == "load":
            yield _load(job, own, move)
    for node in kept.nodes:
        if node["attempt"] == number and not node["cached"]:
            yield _node(job, own, node)


def _load(job: Row, parent: int, move: Row) -> Span:
    end_ns = move["at_ms"] * _MS
    return Span(
        id=_id(job["id"], move["attempt"], f"load {move['boot']} {move['seq']}"),
        parent=parent,
        name="load model",
        start_ns=end_ns - int(move["seconds"] * 1e9),
        end_ns=end_ns,
        attributes={
            "vramgate.model": move["model"],
            "vramgate.model.bytes": move["bytes"],
            "vramgate.model.loaded_bytes": move["loaded_bytes"],
        },
    )


def _node(job: Row, parent: int, node: Row) -> Span:
    start_ns = node["started_ms"] * _MS
    about = {
        "vramgate.node.class": node["class_type"],
        "vramgate.node.calls": node["calls"],
        "vramgate.node.peak_bytes": node["peak_bytes"],
        "vramgate.node.fallback": node["fallback"],
        "vramgate.node.id": node["node"] if _NODE_ID.fullmatch(node["node"]) else None,
    }
    return Span(
        id=_id(job["id"], node["attempt"], f"node {node['node']}"),
        parent=parent,
        name=node["class_type"],
        start_ns=start_ns,
        end_ns=start_ns + int(node["seconds"] * 1e9),
        attributes=_told(about),
        # the exception's type, never its words
        error=(node["error"] or "failed") if node["result"] != "success" else None,
    )


def _told(attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    return {name: value for name, value in attributes.items() if value is not None}


def _trace_id(job_id: str) -> int:
    """The job's own: whoever has its id has its trace."""
    try:
        return UUID(job_id).int
    except ValueError:  # of an older version
        return int.from_bytes(blake2b(job_id.encode(), digest_size=16).digest(), "big")


def _id(*parts: object) -> int:
    """A span's id, never 0."""
    digest = blake2b("/".join(map(str, parts)).encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") or 1
