"""What probes told (docs/probe.md), as rows: pure functions.

The records come out of processes that run other people's node packs: everything is checked, and
what is no record is counted, not believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec

from scheduler.ledger_records import RecordBatch, ToldRecords

Row = dict[str, Any]
#: Bytes of a node's inputs and outputs as JSON; what is longer is left out.
_MOST_SHAPES: Final = 16_384
_MOST_TEXT: Final = 500

_NOTHING: Final = msgspec.Raw()

_Text = Annotated[str, msgspec.Meta(max_length=_MOST_TEXT)]
#: any database's integer
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Small = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
#: seconds since the epoch, up to the year 2286
_Moment = Annotated[float, msgspec.Meta(ge=0, lt=1e10)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
_BeforeAfter = tuple[_Count | None, _Count | None]


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    seq: _Count
    at: _Moment = 0.0
    #: the agent's; empty: a prompt that is nobody's job
    job: _Text = ""
    attempt: _Small = 0
    user: _Text = ""


class PromptRecord(_Record, frozen=True, kw_only=True, tag="prompt"):
    """The end of a prompt."""

    started: _Moment
    seconds: _Seconds
    result: _Text
    nodes: _Small = 0
    cached: _Small = 0
    peak_allocated: _Count | None = None
    peak_reserved: _Count | None = None
    allocated: _BeforeAfter | None = None
    reserved: _BeforeAfter | None = None
    limit: _Count | None = None
    loads: _Small = 0
    load_seconds: _Seconds = 0.0
    overlap: bool = False
    retained: dict[_Text, _Count] | None = None


class NodeRecord(_Record, frozen=True, kw_only=True, tag="node"):
    """The end of a node."""

    node: _Text
    class_: _Text = msgspec.field(name="class")
    started: _Moment
    seconds: _Seconds
    display: _Text | None = None
    calls: _Small = 1
    cached: bool = False
    result: _Text = "success"
    error: _Text | None = None
    allocated: _BeforeAfter | None = None
    peak: _Count | None = None
    out_bytes: _Count | None = None
    #: as told, JSON; empty: not told
    inputs: msgspec.Raw = _NOTHING
    outputs: msgspec.Raw = _NOTHING
    fallback: _Text | None = None
    capture: _Text | None = None


class ModelRecord(_Record, frozen=True, kw_only=True, tag="model"):
    """A model came or went."""

    what: Literal["load", "unload"]
    model: _Text
    node: _Text | None = None
    bytes: _Count = 0
    loaded_bytes: _Count = 0
    seconds: _Seconds = 0.0


class SampleRecord(_Record, frozen=True, kw_only=True, tag="sample"):
    """Memory at one moment."""

    allocated: _Count
    reserved: _Count
    device_free: _Count | None = None


class GapRecord(_Record, frozen=True, kw_only=True, tag="gap"):
    """Records that are gone."""

    lost: _Count


class TroubleRecord(_Record, frozen=True, kw_only=True, tag="trouble"):
    """Something went wrong in the probe itself."""

    where: _Text = ""
    error: _Text = ""


Record = PromptRecord | NodeRecord | ModelRecord | SampleRecord | GapRecord | TroubleRecord
_decode_all = msgspec.json.Decoder(list[Record]).decode
_decode_one = msgspec.json.Decoder(Record).decode
_decode_apart = msgspec.json.Decoder(list[msgspec.Raw]).decode
#: What decoding something that is no record may raise: also of text that is no UTF-8, and of lists
#: within lists without end.
_NO_RECORD: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


@dataclass(slots=True)
class Rows:
    """What some batches come to, by table."""

    nodes: list[Row] = field(default_factory=list)
    prompts: list[Row] = field(default_factory=list)
    moves: list[Row] = field(default_factory=list)
    curves: list[Row] = field(default_factory=list)
    gaps: list[Row] = field(default_factory=list)
    #: records of newer probes, or that are none
    unknown: int = 0
    #: worker → what went wrong in its probe
    troubles: list[tuple[str, TroubleRecord]] = field(default_factory=list)


def rows_of(batches: Sequence[RecordBatch], *, inputs: bool = True) -> Rows:
    """All rows of some batches. ``inputs``: keep what nodes were given, redacted by the probe."""
    rows = Rows()
    for batch in batches:
        points: list[SampleRecord] = []
        for record in _records(batch.told, rows):
            if isinstance(record, SampleRecord):
                points.append(record)
            else:
                _add(rows, batch.told, record, inputs=inputs)
        if points:
            rows.curves.append(_curve_row(batch.told, points))
    return rows


def _records(told: ToldRecords, rows: Rows) -> Iterator[Record]:
    try:
        yield from _decode_all(told.records)
        return
    except _NO_RECORD:
        pass
    try:
        apart = _decode_apart(told.records)
    except _NO_RECORD:
        rows.unknown += 1
        return
    for one in apart:
        try:
            yield _decode_one(one)
        except _NO_RECORD:
            rows.unknown += 1


def _add(
    rows: Rows,
    told: ToldRecords,
    record: PromptRecord | NodeRecord | ModelRecord | GapRecord | TroubleRecord,
    *,
    inputs: bool,
) -> None:
    match record:
        case NodeRecord():
            if record.job:
                rows.nodes.append(_node_row(record, inputs=inputs))
        case PromptRecord():
            if record.job:
                rows.prompts.append(_prompt_row(told, record))
        case ModelRecord():
            rows.moves.append(_move_row(told, record))
        case GapRecord():
            rows.gaps.append(
                {
                    "subject": f"worker:{told.worker}",
                    "until_ms": _ms(record.at),
                    "lost": record.lost,
                    "why": "overflow",
                }
            )
        case TroubleRecord():
            rows.troubles.append((told.worker, record))


def _node_row(record: NodeRecord, *, inputs: bool) -> Row:
    before, after = record.allocated or (None, None)
    return {
        "job_id": record.job,
        "attempt": record.attempt,
        "node": record.node,
        "user_name": record.user,
        "display": record.display or "",
        "class_type": record.class_,
        "started_ms": _ms(record.started),
        "seconds": record.seconds,
        "calls": record.calls,
        "cached": record.cached,
        "result": record.result,
        "error": record.error,
        "before_bytes": before,
        "after_bytes": after,
        "peak_bytes": record.peak,
        "out_bytes": record.out_bytes,
        "shapes": _shapes(record.inputs if inputs else _NOTHING, record.outputs),
        "fallback": record.fallback,
        "capture": record.capture,
    }


def _shapes(inputs: msgspec.Raw, outputs: msgspec.Raw) -> str | None:
    named = {"inputs": inputs, "outputs": outputs}
    told = {name: raw for name, raw in named.items() if bytes(raw)}
    text = msgspec.json.encode(told)
    return text.decode() if told and len(text) <= _MOST_SHAPES else None


def _prompt_row(told: ToldRecords, record: PromptRecord) -> Row:
    allocated, reserved = record.allocated or (None, None), record.reserved or (None, None)
    retained = record.retained
    return {
        "job_id": record.job,
        "attempt": record.attempt,
        "user_name": record.user,
        "worker": told.worker,
        "gpu": told.gpu,
        "started_ms": _ms(record.started),
        "seconds": record.seconds,
        "result": record.result,
        "nodes": record.nodes,
        "cached": record.cached,
        "peak_allocated": record.peak_allocated,
        "peak_reserved": record.peak_reserved,
        "allocated_before": allocated[0],
        "allocated_after": allocated[1],
        "reserved_before": reserved[0],
        "reserved_after": reserved[1],
        "limit_bytes": record.limit,
        "loads": record.loads,
        "load_seconds": record.load_seconds,
        "overlap": record.overlap,
        "retained": msgspec.json.encode(retained).decode() if retained else None,
    }


def _move_row(told: ToldRecords, record: ModelRecord) -> Row:
    return {
        "worker": told.worker,
        "boot": told.boot,
        "seq": record.seq,
        "at_ms": _ms(record.at),
        "job_id": record.job,
        "attempt": record.attempt,
        "user_name": record.user,
        "node": record.node or "",
        "what": record.what,
        "model": record.model,
        "bytes": record.bytes,
        "loaded_bytes": record.loaded_bytes,
        "seconds": record.seconds,
    }


def _curve_row(told: ToldRecords, points: Sequence[SampleRecord]) -> Row:
    first = _ms(points[0].at)
    listed = [
        (_ms(point.at) - first, point.allocated, point.reserved, point.device_free)
        for point in points
    ]
    return {
        "worker": told.worker,
        "at_ms": first,
        "points": msgspec.json.encode(listed).decode(),
    }


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
