"""A collector gets one trace of each job, whoever sends it, linked to the client's own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sqlalchemy.ext.asyncio import AsyncEngine

from config.metrics import Otel
from dashboard.history.probe_recorder import ProbeRecorder
from dashboard.history.recorder import Recorder
from dashboard.sinks.otel import OtelSink
from dashboard.sinks.otlp import OtlpExporter
from dashboard.sinks.spans import link_of
from dashboard.sinks.toll import Toll
from scheduler.ledger import Ending
from store.traces import SqlTraces
from tests.integration.dashboard.conftest import Floor
from tests.integration.history.probe_words import node, told

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TEXT = "quokka in a storm"


@dataclass
class Collector:
    """Takes spans as a collector does."""

    url: str = ""
    #: of each request: name, span
    requests: list[dict[str, Any]] = field(default_factory=list)
    down: bool = False
    #: requests while it was down
    refused: int = 0
    raw: bytes = b""

    async def take(self, request: web.Request) -> web.Response:
        if self.down:
            self.refused += 1
            return web.Response(status=400)
        self.raw = await request.read()
        message = ExportTraceServiceRequest.FromString(self.raw)
        spans = [
            span
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        self.requests.append({f"{span.name} {span.span_id.hex()}": span for span in spans})
        return web.Response(body=b"", content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    async with TestServer(app) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


def sink(collector: Collector, engine: AsyncEngine, **changes: Any) -> OtelSink:
    settings = Otel.model_validate({"endpoint": collector.url, "settle": 0} | changes)
    exporter = OtlpExporter(collector.url, "vramgate", "1")

    def soon(seconds: float) -> Any:
        return asyncio.sleep(min(seconds, 0.02))

    traces, toll = SqlTraces(engine), Toll("otel", engine)
    return OtelSink(settings, "default", traces, exporter, toll, time.monotonic, soon)


async def sent(one: OtelSink, collector: Collector, count: int = 1) -> None:
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(60):
        while len(collector.requests) < count:
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def a_job(floor: Floor, engine: AsyncEngine, one: OtelSink) -> str:
    """Out of memory at first; then it succeeds, with two nodes."""
    extra = {"vramgate": {"traceparent": PARENT}}
    graph = {"3": {"class_type": "KSampler", "inputs": {"text": TEXT}}}
    body = {"prompt": graph, "extra_data": extra, "outputs": []}
    job = await floor.submit("ann", json.dumps(body).encode())
    await floor.settle(job, await floor.start(job), Ending.OOM, retry_bytes=5 * 2**30)
    attempt = await floor.start(job)
    now, ours = time.time(), {"job": job.id, "attempt": attempt}
    load = {"seq": 3, "kind": "model", "what": "load", "model": "SDXL", "seconds": 0.5, "at": now}
    await floor.ledger.tell(
        told(
            node(1, started=now, **ours),
            node(2, TEXT, "VAEDecode", started=now + 1, fallback="tiled", **ours),
            load | ours,
        )
    )
    await floor.settle(job, attempt, run_seconds=3.0)
    await ProbeRecorder(floor.ledger, engine, time.monotonic).record_once(1)
    await Recorder(floor.ledger, engine, time.monotonic, tell=one.jobs).record_once(1)
    return job.id


def by_name(spans: dict[str, Any]) -> dict[str, Any]:
    return {key.rpartition(" ")[0]: span for key, span in spans.items()}


async def test_a_job_is_one_trace_of_wait_attempts_loads_and_nodes(
    floor: Floor, engine: AsyncEngine, collector: Collector
) -> None:
    one = sink(collector, engine)
    job = await a_job(floor, engine, one)
    await sent(one, collector)
    spans = by_name(collector.requests[0])
    assert set(spans) == {
        "job", "queue", "attempt 1", "attempt 2", "load model", "KSampler", "VAEDecode",
    }  # fmt: skip
    assert {span.trace_id for span in spans.values()} == {UUID(job).bytes}
    root, last = spans["job"], spans["attempt 2"]
    assert not root.parent_span_id
    for name in ("queue", "attempt 1", "attempt 2"):
        assert spans[name].parent_span_id == root.span_id
    for name in ("load model", "KSampler", "VAEDecode"):
        assert spans[name].parent_span_id == last.span_id
    assert spans["attempt 1"].status.message == "oom"
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans.values())
    (link,) = root.links
    assert (link.trace_id.hex(), link.span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    told_of = {one.key: one.value.string_value for one in spans["VAEDecode"].attributes}
    assert told_of["vramgate.node.fallback"] == "tiled"


async def test_no_text_and_no_user_leaves(
    floor: Floor, engine: AsyncEngine, collector: Collector
) -> None:
    one = sink(collector, engine)
    await a_job(floor, engine, one)
    await sent(one, collector)
    assert TEXT.encode() not in collector.raw
    assert b"ann" not in collector.raw


async def test_whoever_tells_it_again_tells_the_same_spans(
    floor: Floor, engine: AsyncEngine, collector: Collector
) -> None:
    first, again = sink(collector, engine), sink(collector, engine, users=True)
    rows: list[Any] = []
    first_jobs = first.jobs
    first.jobs = lambda told: (rows.extend(told), first_jobs(told))  # type: ignore[method-assign]
    await a_job(floor, engine, first)
    await sent(first, collector)
    again.jobs(rows)
    await sent(again, collector, 2)
    assert set(collector.requests[0]) == set(collector.requests[1])
    assert b"enduser.id" in collector.raw


async def test_a_collector_that_is_away_gets_it_later(
    floor: Floor, engine: AsyncEngine, collector: Collector
) -> None:
    one = sink(collector, engine)
    collector.down = True
    await a_job(floor, engine, one)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(60):
        while collector.refused < 2:
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    collector.down = False
    await sent(one, collector)
    assert "job" in by_name(collector.requests[0])


@pytest.mark.parametrize(
    ("told_as", "linked"),
    [
        (PARENT, True),
        (PARENT.replace("00-", "01-", 1) + "-later", True),
        (PARENT.replace("00-", "ff-", 1), False),
        (PARENT.upper(), False),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", False),
        ("x" * 55, False),
        (7, False),
        (None, False),
    ],
)
def test_only_what_w3c_calls_a_parent_is_linked(told_as: Any, linked: bool) -> None:
    body = {"prompt": {}, "extra_data": {"vramgate": {"traceparent": told_as}}}
    assert (link_of(json.dumps(body).encode()) is not None) == linked


@pytest.mark.parametrize("body", [None, b"", b'{"traceparent"', b'"traceparent"', b"[" * 5000])
def test_a_body_that_is_none_has_no_parent(body: bytes | None) -> None:
    assert link_of(body) is None
