from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.perf_json.chrome import ChromeTrace
from dashboard.perf_json.reading import read
from dashboard.perf_json.recording import Budget, Recording
from dashboard.perf_json.redaction import Names
from dashboard.perf_json.shapes import LeftOut, Perf
from dashboard.perf_json.writing import Encoder, PerfJson
from store.history_schema import node_runs
from store.recordings import Found, Scope, SqlRecordings
from tests.integration.history.rows import fill, node_row
from tests.integration.perf_json.conftest import FROM_MS, NOW_MS, SECRET
from tests.unit.dashboard.perf_json.files import check_schema
from tests.unit.dashboard.perf_json.traces import check_trace

HOUR = Scope(from_ms=FROM_MS, until_ms=NOW_MS)


async def content_of(
    recording: Recording,
    scope: Scope,
    names: Names,
    budget: Budget | None = None,
    encoder: Encoder | None = None,
) -> bytes:
    encoder = encoder or PerfJson()
    parts = [encoder.begin(recording.head(scope, names))]
    async for entry in recording.entries(scope, names, budget):
        parts.append(encoder.add(entry))
    return b"".join([*parts, encoder.end()])


async def made(
    recording: Recording, scope: Scope, names: Names | None = None, budget: Budget | None = None
) -> Perf:
    content = await content_of(recording, scope, names or Names(), budget)
    check_schema(content)
    found = read(content)
    assert isinstance(found, Perf)
    return found


async def test_a_span_has_everything_of_everybody(recording: Recording) -> None:
    perf = await made(recording, HOUR)
    assert [(job.id, job.user, job.model) for job in perf.jobs] == [
        ("ann-1", "user-1", "model-1"), ("bob-1", "user-2", "model-1"), ("ann-2", "user-1", "model-1")
    ]  # fmt: skip
    assert [run.job for run in perf.runs] == ["ann-1", "bob-1", "ann-2"]
    assert (perf.runs[0].seconds, perf.runs[0].retained) == (10.0, {"VAEDecode": 5})
    assert len(perf.nodes) == 9
    assert len(perf.moves) == 3
    assert [(one.id, one.total_bytes) for one in perf.gpus] == [("gpu-0", 24 * 2**30)]
    assert [(one.id, one.gpu) for one in perf.workers] == [("host-0", "gpu-0")]
    assert [len(piece.at_ms) for piece in perf.memory] == [40, 40, 40]
    assert perf.waits[0].blocker == "user:user-2"
    assert [one.gpu_us for one in perf.usage] == [2**61, 2**61]
    assert perf.left_out == []


async def test_advice_is_in_it_without_names_and_with_what_to_do(recording: Recording) -> None:
    perf = await made(recording, HOUR)
    assert {(one.title, *one.remedies) for one in perf.advice} == {
        (f"{user}'s VAEDecode fell back with model-1", f"Ask {user} for tiles")
        for user in ("user-1", "user-2")
    }
    (mine,) = (
        await made(recording, dataclasses.replace(HOUR, user="bob"), Names(own="bob"))
    ).advice
    assert (mine.jobs, mine.shown, mine.gain) == (["bob-1"], 7, 60.0)


async def test_alerts_are_in_it_whoevers_they_are_and_in_ones_own_where_they_are_ones_own(
    recording: Recording,
) -> None:
    (alert,) = (await made(recording, HOUR)).alerts
    assert (alert.rule, alert.subject, alert.severity) == ("slow_node", "user:user-1", "critical")
    assert (alert.worst, alert.threshold) == (12.0, 5.0)
    bobs = await made(recording, dataclasses.replace(HOUR, user="bob"), Names(own="bob"))
    assert bobs.alerts == []


async def test_a_gap_is_a_gap(recording: Recording) -> None:
    perf = await made(recording, HOUR)
    (samples,) = perf.samples
    assert samples.step_s == 10
    missing = {FROM_MS + 1000 * n for n in range(110, 150)}
    assert not missing & set(samples.at_ms)
    gaps = [(one.from_ms, one.until_ms) for one in perf.gaps if one.subject == "gpu:gpu-0"]
    assert gaps == [
        (FROM_MS + 100_000, FROM_MS + 160_000), (FROM_MS + 1_200_000, NOW_MS),
    ]  # fmt: skip


async def test_one_users_recording_has_nothing_of_others(recording: Recording) -> None:
    own = dataclasses.replace(HOUR, user="ann")
    content = await content_of(recording, own, Names(own="ann"))
    assert b"bob" not in content
    perf = read(content)
    assert isinstance(perf, Perf)
    assert perf.about.own
    assert {job.id for job in perf.jobs} == {run.job for run in perf.runs} == {"ann-1", "ann-2"}
    assert {one.job for one in (*perf.nodes, *perf.moves)} == {"ann-1", "ann-2"}
    assert [one.user for one in perf.usage] == ["user-1"]
    assert [one.blocker for one in perf.waits] == [""]
    # bob's job lay between ann's two: the worker's memory then is not hers to see
    begun = [(piece.at_ms[0], piece.at_ms[-1]) for piece in perf.memory]
    assert begun == [
        (FROM_MS + 590_000, FROM_MS + 599_750), (FROM_MS + 630_000, FROM_MS + 639_750),
    ]  # fmt: skip


async def test_one_jobs_recording_has_that_job(recording: Recording, engine: AsyncEngine) -> None:
    found = await SqlRecordings(engine).find("bob-1", None)
    assert found == Found("bob-1", "bob", FROM_MS + 609_000, FROM_MS + 620_000)
    scope = Scope(from_ms=found.from_ms, until_ms=found.until_ms, user=found.user, job=found.job)
    perf = await made(recording, scope)
    assert [one.id for one in perf.jobs] == ["bob-1"]
    assert {one.job for one in (*perf.runs, *perf.nodes, *perf.moves)} == {"bob-1"}
    assert [len(piece.at_ms) for piece in perf.memory] == [40]
    sampler = next(node for node in perf.nodes if node.cls == "KSampler" and not node.cached)
    assert sampler.inputs.keys() == {"steps", "latent"}
    assert perf.usage == []


async def test_a_job_is_found_by_its_prompt_id_and_only_among_ones_own(
    engine: AsyncEngine,
) -> None:
    store = SqlRecordings(engine)
    found = await store.find(f"{SECRET} ann-1", "ann")
    assert found is not None
    assert found.job == "ann-1"
    assert await store.find("ann-1", "bob") is None
    assert await store.find("nothing", None) is None


@pytest.mark.parametrize("true", [False, True])
async def test_no_text_that_somebody_wrote_comes_out(recording: Recording, true: bool) -> None:
    for encoder in (PerfJson(), ChromeTrace()):
        content = await content_of(recording, HOUR, Names(true=true), encoder=encoder)
        assert SECRET.encode() not in content
        assert (b"minister" in content) == (true and isinstance(encoder, PerfJson))
        assert (b'"ann"' in content) == true or isinstance(encoder, ChromeTrace)


async def test_it_converts_to_a_trace(recording: Recording) -> None:
    content = await content_of(recording, HOUR, Names(), encoder=ChromeTrace())
    events = check_trace(content)
    kinds = [one["cat"] for one in events if one["ph"] == "X"]
    counts = {kind: kinds.count(kind) for kind in ("wait", "run", "node", "move")}
    assert counts == {"wait": 3, "run": 3, "node": 9, "move": 3}


async def test_a_small_budget_drops_short_nodes_and_says_so(recording: Recording) -> None:
    perf = await made(recording, HOUR, budget=Budget(jobs=2, nodes=4, moves=1, points=10))
    assert [(node.cls, node.seconds) for node in perf.nodes] == [("KSampler", 8.0)] * 3
    assert (len(perf.jobs), len(perf.runs), len(perf.moves)) == (2, 2, 1)
    assert sum(len(piece.at_ms) for piece in perf.memory) <= 12
    left = {one.part: one for one in perf.left_out}
    assert {part: one.count for part, one in left.items()} == {
        "jobs": 1, "runs": 1, "nodes": 6, "moves": 2,
    }  # fmt: skip
    assert left["nodes"] == LeftOut(
        part="nodes", count=6, why="from the cache, or shorter than 2 s"
    )


async def test_more_than_one_page_of_nodes_comes_whole_and_once(
    recording: Recording, engine: AsyncEngine
) -> None:
    some = [
        node_row("ann-1", FROM_MS + 700_000 + n // 3, node=f"n{n}", class_type="Many")
        for n in range(4500)
    ]
    await fill(engine, node_runs, some)
    perf = await made(recording, HOUR)
    many = [node.node for node in perf.nodes if node.cls == "Many"]
    assert len(many) == len(set(many)) == 4500
