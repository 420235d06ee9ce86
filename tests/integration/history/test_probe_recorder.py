"""What probes told is written once, and what is no record harms nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from sqlalchemy import Row, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.history.probe_recorder import ProbeRecorder
from scheduler.memory_ledger import MemoryLedger
from store import history_schema as schema
from tests.integration.history.probe_words import JOB, node, prompt, told


@pytest.fixture
def recorder(books_ledger: MemoryLedger, engine: AsyncEngine) -> ProbeRecorder:
    return ProbeRecorder(books_ledger, engine, time.monotonic)


async def rows(engine: AsyncEngine, table: Table) -> list[Row[Any]]:
    async with engine.connect() as connection:
        return list((await connection.execute(table.select().order_by(*table.primary_key))).all())


async def test_nodes_prompts_models_and_gaps_have_rows(
    books_ledger: MemoryLedger, recorder: ProbeRecorder, engine: AsyncEngine
) -> None:
    load = {
        "seq": 3, "kind": "model", "at": 1001.5, **JOB, "node": "4", "what": "load",
        "model": "SDXL", "bytes": 100, "loaded_bytes": 80, "seconds": 2.5,
    }  # fmt: skip
    gap = {"seq": 4, "kind": "gap", "at": 1003.0, "lost": 17}
    await books_ledger.tell(told(node(1), prompt(2), load, gap))
    assert not await recorder.record_once(1)
    (run,) = await rows(engine, schema.node_runs)
    assert (run.job_id, run.attempt, run.node, run.class_type) == ("j1", 1, "3", "KSampler")
    assert (run.started_ms, run.before_bytes, run.after_bytes) == (1_000_000, 10, 20)
    assert json.loads(run.shapes)["inputs"] == {"steps": 20}
    (whole,) = await rows(engine, schema.prompt_runs)
    assert (whole.gpu, whole.peak_reserved, whole.reserved_after) == ("gpu-0", 120, 60)
    assert json.loads(whole.retained) == {"KSampler": 5}
    (move,) = await rows(engine, schema.model_moves)
    assert (move.at_ms, move.what, move.loaded_bytes) == (1_001_500, "load", 80)
    (gap_row,) = await rows(engine, schema.gaps)
    assert (gap_row.subject, gap_row.until_ms, gap_row.lost) == ("worker:host-0", 1_003_000, 17)


async def test_what_is_told_twice_is_there_once(
    books_ledger: MemoryLedger, recorder: ProbeRecorder, engine: AsyncEngine
) -> None:
    batch = told(node(1), prompt(2), {"seq": 3, "kind": "gap", "at": 5.0, "lost": 1})
    for _ in range(2):
        await books_ledger.tell(batch)
        await books_ledger.tell(batch)
        await recorder.record_once(1)
    for table in (schema.node_runs, schema.prompt_runs, schema.gaps):
        assert len(await rows(engine, table)) == 1


async def test_prompts_that_are_nobodys_job_are_not_kept(
    books_ledger: MemoryLedger, recorder: ProbeRecorder, engine: AsyncEngine
) -> None:
    await books_ledger.tell(told(node(1, job="", user=""), prompt(2, job="", user="")))
    await recorder.record_once(1)
    assert await rows(engine, schema.node_runs) == []
    assert await rows(engine, schema.prompt_runs) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"seq": 1, "kind": "from the future"},
        {"kind": "node"},
        node(1, peak=-1),
        node(1, peak=2**70),
        node(1, seconds="long"),
        node(1, node="x" * 10_000),
        7,
        None,
    ],
)
async def test_what_is_no_record_holds_up_nothing(
    books_ledger: MemoryLedger, recorder: ProbeRecorder, engine: AsyncEngine, bad: Any
) -> None:
    await books_ledger.tell(told(bad, node(2, "9")))
    await books_ledger.tell(told(records=b"not json"))
    await books_ledger.tell(told(node(3, "10\x00")))
    await recorder.record_once(1)
    assert {row.node for row in await rows(engine, schema.node_runs)} == {"9", "10\ufffd"}
    assert await books_ledger.told("recorder", 1, 10) == []


async def test_inputs_of_nodes_are_left_out_where_they_are_not_wanted(
    books_ledger: MemoryLedger, engine: AsyncEngine
) -> None:
    await books_ledger.tell(told(node(1)))
    await ProbeRecorder(books_ledger, engine, time.monotonic, inputs=False).record_once(1)
    (run,) = await rows(engine, schema.node_runs)
    assert "inputs" not in json.loads(run.shapes)


async def test_a_memory_curve_is_kept_in_pieces(
    books_ledger: MemoryLedger, recorder: ProbeRecorder, engine: AsyncEngine
) -> None:
    samples = [
        {"seq": n, "kind": "sample", "at": 1000 + n / 8, "allocated": n, "reserved": 2 * n,
         "device_free": None, "limit": None}
        for n in range(4)
    ]  # fmt: skip
    await books_ledger.tell(told(*samples))
    await recorder.record_once(1)
    (piece,) = await rows(engine, schema.curves)
    assert json.loads(piece.points) == [
        [0, 0, 0, None], [125, 1, 2, None], [250, 2, 4, None], [375, 3, 6, None],
    ]  # fmt: skip
