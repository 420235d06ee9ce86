"""What a probe told, as the facts that advice is found in: what recorder and store do, without them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from store.fact_graph import picture
from store.facts import CardFact, Facts, JobFact, MoveFact, NodeFact, PromptFact

#: of a card whose size nobody tells
CARD: Final = 8 * 2**30
_GPU, _WORKER, _USER = "gpu-0", "worker-0", "artist"
Record = Mapping[str, Any]


def facts_of(records: Iterable[Record], total_bytes: int) -> Facts:
    """One user's jobs on one worker; prompts are jobs."""
    told = list(records)
    prompts = [record for record in told if record["kind"] == "prompt"]
    until_ms = max((_ms(record["at"]) for record in told), default=0) + 1
    return Facts(
        from_ms=min((_ms(record["at"]) for record in told), default=0),
        until_ms=until_ms,
        jobs=tuple(_job(record) for record in prompts),
        nodes=tuple(_nodes(told, {record["prompt"] for record in prompts})),
        prompts=tuple(_prompt(record) for record in prompts),
        moves=tuple(_move(record) for record in told if record["kind"] == "model"),
        cards=(CardFact(gpu=_GPU, total_bytes=total_bytes, foreign_bytes=0),),
    )


def _job(record: Record) -> JobFact:
    begin, end = _ms(record["started"]), _ms(record["at"])
    return JobFact(
        id=record["prompt"], user=_USER, fingerprint="founding-story", model="sdxl",
        state="SUCCEEDED" if record["result"] == "success" else "FAILED", reason="", gpu=_GPU,
        worker=_WORKER, needs_gpu=True, reserved_bytes=record.get("limit") or 0,
        peak_bytes=record.get("peak_reserved") or 0, run_seconds=record["seconds"],
        submitted_ms=begin, admitted_ms=begin, started_ms=begin, ended_ms=end,
    )  # fmt: skip


def _nodes(told: list[Record], ended: set[str]) -> Iterable[NodeFact]:
    for record in told:
        if record["kind"] != "node" or record["cached"] or record["prompt"] not in ended:
            continue
        shapes = json.dumps({"outputs": record.get("outputs") or {}})
        batch, width, height = picture(record["class"], shapes)
        before = record.get("allocated", (None,))[0]
        yield NodeFact(
            job=record["prompt"], user=_USER, node=record["node"], class_type=record["class"],
            started_ms=_ms(record["started"]), seconds=record["seconds"],
            failed=record["result"] == "failure", error=record.get("error") or "",
            before_bytes=before, peak_bytes=record.get("peak"),
            fallback=record.get("fallback") or "", batch=batch, width=width, height=height,
        )  # fmt: skip


def _prompt(record: Record) -> PromptFact:
    return PromptFact(
        job=record["prompt"], user=_USER, worker=_WORKER, gpu=_GPU,
        started_ms=_ms(record["started"]), seconds=record["seconds"], nodes=record["nodes"],
        cached=record["cached"], peak_reserved=record.get("peak_reserved"),
        allocated_after=record.get("allocated", (None, None))[1],
        retained_bytes=sum((record.get("retained") or {}).values()),
        limit_bytes=record.get("limit"),
    )  # fmt: skip


def _move(record: Record) -> MoveFact:
    return MoveFact(
        worker=_WORKER, boot="story", at_ms=_ms(record["at"]), job=record.get("prompt") or "",
        node=record.get("node") or "", load=record["what"] == "load", model=record["model"],
        bytes=record["bytes"], loaded_bytes=record["loaded_bytes"], seconds=record["seconds"],
    )  # fmt: skip


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
