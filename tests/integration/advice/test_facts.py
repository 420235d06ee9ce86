"""What is read of a store for advice, and what is found in a studio's day."""

from __future__ import annotations

import json
from random import Random

from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.advice.chores import SPAN_MS, find
from dashboard.advice.engine import advise
from store import fact_graph, schema
from store import history_schema as history
from store.advice import ADMINS, SqlAdvice
from store.fact_graph import picture
from store.fact_reader import MOST_JOBS, SqlFacts
from tests.day import UNTIL_MS, DayStore
from tests.integration.history.rows import HOUR_MS, fill, job_row, node_row, sample_row

NOW_MS = 1_700_000_400_000 + 100 * HOUR_MS
SAMPLER = {"sampler_name": "euler", "scheduler": "karras", "steps": 20, "seed": 5}


def body(seed: int = 5, prefix: str = "a", **more: object) -> bytes:
    graph = {
        "3": {"class_type": "KSampler", "inputs": {**SAMPLER, "seed": seed, **more}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": prefix}},
    }
    return json.dumps({"prompt": graph, "client_id": prefix}).encode()


def test_graphs_are_the_same_where_their_pictures_are() -> None:
    same = fact_graph.read(body())[0]
    assert same
    assert fact_graph.read(body(prefix="b"))[0] == same
    assert fact_graph.read(body(seed=6))[0] != same
    assert fact_graph.read(b"nonsense") == ("", {})
    assert fact_graph.read(None) == ("", {})


def test_a_sampler_is_told_by_name_and_a_text_in_its_place_is_not() -> None:
    told = fact_graph.read(body())[1]["3"]
    assert (told.sampler, told.scheduler, told.steps) == ("euler", "karras", 20)
    assert fact_graph.read(body(sampler_name="my secret, a text"))[1] == {}
    assert fact_graph.read(body(steps="20"))[1] == {}


def test_pictures_are_counted_by_what_nodes_gave_out() -> None:
    def shapes(*sides: int) -> str:
        return json.dumps({"outputs": {"0": {"shape": list(sides), "dtype": "float32"}}})

    assert picture("VAEDecode", shapes(2, 512, 768, 3)) == (2, 768, 512)
    assert picture("KSampler", shapes(2, 4, 64, 96)) == (2, 768, 512)
    assert picture("KSampler", shapes(1, 16, 5, 64, 96)) == (5, 768, 512)
    assert picture("KSampler", None) == (0, 0, 0)
    assert picture("KSampler", '{"outputs": 3}') == (0, 0, 0)


async def test_facts_are_of_the_span_and_of_last_attempts(engine: AsyncEngine) -> None:
    minute = NOW_MS - HOUR_MS
    old = job_row("old", NOW_MS - 50 * HOUR_MS)
    new = job_row("new", NOW_MS - HOUR_MS, attempts=2, prompt=body())
    await fill(engine, schema.jobs, [old, new])
    nodes = [
        node_row("new", minute, attempt=attempt, seconds=float(attempt), **more)
        for attempt, more in ((1, {}), (2, {}), (2, {"node": "8", "cached": True}))
    ]
    await fill(engine, history.node_runs, nodes)
    idle = {"step_s": 60, "reserved_bytes": 0, "utilisation": 0.0}
    await fill(
        engine,
        history.gpu_samples,
        [
            sample_row(minute, **idle),
            sample_row(minute + 60_000, **{**idle, "reserved_bytes": 5}),
            sample_row(minute + 60_000, **{**idle, "gpu": "gpu-1", "utilisation": 0.9}),
        ],
    )
    wait = {"user_name": "ann", "reason": "cap", "blocker": ""}
    waits = [{**wait, "step_s": 10, "at_ms": minute + n, "job_ms": 9} for n in (0, 10_000)]
    await fill(engine, history.waits, waits)
    facts = await SqlFacts(engine).read(NOW_MS - 10 * HOUR_MS, NOW_MS)
    (job,) = facts.jobs
    assert (job.id, job.model, job.sampling["3"].sampler) == ("new", "sdxl", "euler")
    (node,) = facts.nodes
    assert node.seconds == 2.0
    assert facts.idle == {minute: frozenset({"gpu-0"})}
    assert {(hour.gpu, hour.known, hour.idle) for hour in facts.hours} == {
        ("gpu-0", 2, 1), ("gpu-1", 1, 0),
    }  # fmt: skip
    (wait_fact,) = facts.waits
    assert (wait_fact.minute_ms, wait_fact.job_ms) == (minute, 18)
    assert [(row.class_type, row.runs) for row in facts.classes] == [("KSampler", 1)]


async def test_of_jobs_that_ended_at_once_facts_belong_to_those_that_were_read(
    engine: AsyncEngine,
) -> None:
    ids = [f"j{number}" for number in range(MOST_JOBS + 3)]
    await fill(engine, schema.jobs, [job_row(one, NOW_MS - HOUR_MS) for one in ids])
    await fill(engine, history.node_runs, [node_row(one, NOW_MS - HOUR_MS) for one in ids])
    facts = await SqlFacts(engine).read(NOW_MS - 10 * HOUR_MS, NOW_MS)
    assert len(facts.jobs) == MOST_JOBS
    assert {node.job for node in facts.nodes} == {job.id for job in facts.jobs}


async def test_a_studios_day_has_advice_and_keeps_it(day: DayStore) -> None:
    found = await find(day.engine, UNTIL_MS)
    assert found
    kept = await SqlAdvice(day.engine).all(ADMINS)
    assert [one.id for one in kept] == [one.id for one in found]
    facts = await SqlFacts(day.engine).read(UNTIL_MS - SPAN_MS, UNTIL_MS)
    again = advise(facts, Random(0))  # the same facts, the same advice
    assert again == found
