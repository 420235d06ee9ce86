"""``/metrics`` tells what happened once, and what is, in words that Prometheus finds no fault with."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from dashboard.history.probe_recorder import ProbeRecorder
from dashboard.history.recorder import Recorder
from dashboard.metrics.counted import COUNTED, SPREADS
from dashboard.metrics.page import MetricsPage
from dashboard.sampler import Sampler
from gateway.request_metrics import RequestMetrics
from scheduler.ledger import LedgerUnavailable
from scheduler.redis_ledger import RedisLedger
from store import history_schema
from store.alert_books import LOOKED_MARK
from store.tallies import SqlTallies
from tests.integration.dashboard.metrics.conftest import Scraped, check, work
from tests.integration.history.rows import alert_row, fill

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def figures(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """By name and labels, the pool's left out."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            labels.pop("pool", None)
            found[match[1], frozenset(labels.items())] = float(match[3])
    return found


class Read:
    def __init__(self, text: str) -> None:
        self.all = figures(text)

    def __call__(self, name: str, **labels: str) -> float:
        return self.all[f"vramgate_{name}", frozenset(labels.items())]


async def test_it_tells_what_is_and_what_has_happened(scraped: Scraped) -> None:
    await work(scraped)
    await scraped.record()
    text = await scraped.text()
    read = Read(text)
    assert read("jobs", state="running") == 1
    assert read("jobs", state="queued") == 2
    assert read("jobs_ended_total", state="SUCCEEDED", reason="", lane="interactive",
                group="default") == 1  # fmt: skip
    assert read("job_run_seconds_sum", lane="interactive") == 3.0
    assert read("job_run_seconds_bucket", lane="interactive", le="2") < 2
    assert read("job_run_seconds_bucket", lane="interactive", le="5") == 2
    assert read("jobs_over_reservation_total") == 1
    assert read("node_runs_total", result="success", cached="false") == 2
    assert read("node_runs_total", result="success", cached="true") == 1
    assert read("node_run_seconds_sum") == 3.5
    assert read("node_fallbacks_total", kind="tiled") == 1
    assert read("model_load_seconds_count") == 1
    assert read("probe_records_lost_total") == 7
    assert read("gpu_observed_seconds_total", gpu="gpu-0") == 1
    gpu = {"gpu": "gpu-0", "host": "host"}
    assert read("gpu_up", **gpu) == 1
    kinds = {kind: read("gpu_memory_bytes", kind=kind, **gpu) for kind in
             ("foreign", "resident", "reserved", "free")}  # fmt: skip
    assert sum(kinds.values()) == read("gpu_memory_size_bytes", **gpu) == 24 * 2**30
    assert kinds["foreign"] == 2 * 2**30
    assert read("user_jobs", user="ann", state="running") == 1
    assert not any("bob" in line for line in text.splitlines())
    assert read("stream_unrecorded_entries", stream="transitions") == 0
    assert read("ledger_up") == read("store_up") == 1
    assert read("build_info", version="1.2.3") == 1


@pytest.mark.monitoring
async def test_promtool_finds_no_fault(scraped: Scraped, promtool: str) -> None:
    await work(scraped)
    await scraped.record()
    assert check(promtool, "check", "metrics", text=await scraped.text()) == ""


async def test_openmetrics_is_told_to_whoever_asks_for_it(scraped: Scraped) -> None:
    text = await scraped.text("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


async def test_whoever_asks_often_costs_no_more(scraped: Scraped) -> None:
    await scraped.text()
    first = await (await scraped.client.get("/metrics")).text()
    await scraped.floor.submit()
    assert await (await scraped.client.get("/metrics")).text() == first
    assert Read(await scraped.text())("jobs", state="queued") == 1


class Forgetful:
    """A ledger whose acknowledgements get lost: everything is delivered again."""

    def __init__(self, ledger: RedisLedger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)

    async def acknowledge(self, ids: Sequence[str]) -> None:
        raise LedgerUnavailable("gone")

    async def stored(self, ids: Sequence[str]) -> None:
        raise LedgerUnavailable("gone")


async def test_what_comes_twice_counts_once(scraped: Scraped, engine: AsyncEngine) -> None:
    await work(scraped)
    forgetful = Forgetful(scraped.floor.ledger)
    for kind in (Recorder, ProbeRecorder):
        with pytest.raises(LedgerUnavailable):
            await kind(forgetful, engine, time.monotonic).record_once(1)  # type: ignore[arg-type]
    before = await SqlTallies(engine).read()
    assert before
    for kind in (Recorder, ProbeRecorder):
        await kind(scraped.floor.ledger, engine, time.monotonic).record_once(1)
    assert await SqlTallies(engine).read() == before


async def test_two_pages_of_one_pool_tell_the_same(scraped: Scraped) -> None:
    """But for what is a process's own."""
    await work(scraped)
    await scraped.record()
    own = re.compile(r"process_|python_|vramgate_http_|vramgate_client_|recorder_lag|_created")
    first, second = [
        [line for line in (await scraped.text()).splitlines() if not own.search(line)]
        for _ in range(2)
    ]
    changing = ("vramgate_queue_oldest_seconds", "vramgate_queue_forecast_seconds")
    assert [line for line in first if not line.startswith(changing)] == [
        line for line in second if not line.startswith(changing)
    ]


def test_no_label_is_one_that_grows_without_bound() -> None:
    allowed = {"state", "reason", "lane", "group", "result", "cached", "kind", "gpu", "sink"}
    assert {label for one in (*COUNTED, *SPREADS) for label in one.labels} <= allowed


async def test_alerts_that_fire_are_told_by_rule(scraped: Scraped, engine: AsyncEngine) -> None:
    for n, muted in enumerate(("", "", "silence")):
        await fill(engine, history_schema.alerts, [alert_row(f"a{n}", 1, muted=muted)])
    await fill(engine, history_schema.marks, [{"name": LOOKED_MARK, "at_ms": 1_700_000_000_000}])
    read = Read(await scraped.text())
    assert read("alerts_firing", rule="slow_node", severity="warning") == 2
    assert read("alerts_evaluated_timestamp_seconds") == 1_700_000_000


async def test_the_page_of_docs_names_every_metric_and_no_other(scraped: Scraped) -> None:
    text = await scraped.text()
    told = set(re.findall(r"^# TYPE (vramgate_\w+) ", text, re.MULTILINE))
    page = (Path(__file__).parents[4] / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"`(vramgate_\w+)`", page))
    assert named - {"vramgate_gpu", "vramgate_queue", "vramgate_job"} == told


class Away:
    """A store or a ledger that does not answer."""

    def __getattr__(self, name: str) -> object:
        async def fail(*args: object) -> object:
            raise LedgerUnavailable("away") if name in ("pool", "snapshot") else OSError("away")

        return fail


@pytest.mark.parametrize("which", ["store", "ledger"])
async def test_what_is_away_leaves_gaps_and_no_zeros(scraped: Scraped, which: str) -> None:
    await work(scraped)
    await scraped.record()
    settings = Settings.model_validate({"redis": {"pool": "p"}})
    ledger = Away() if which == "ledger" else scraped.floor.ledger
    page = MetricsPage(
        Sampler(ledger, lambda: settings),  # type: ignore[arg-type]
        ledger,  # type: ignore[arg-type]
        Away() if which == "store" else SqlTallies(scraped.engine),  # type: ignore[arg-type]
        lambda: settings,
        version="1",
        may=lambda request: True,
        own=RequestMetrics().registry,
    )
    app = web.Application()
    app.add_subapp("/metrics", page.app())
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/metrics")).text()
    read = Read(text)
    assert (read("ledger_up"), read("store_up")) == ((0, 1) if which == "ledger" else (1, 0))
    assert ("vramgate_jobs_ended_total{" in text) is (which == "ledger")
    assert ("vramgate_gpu_up{" in text) is (which == "store")
