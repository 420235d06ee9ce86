"""The GPU bench's parts that need no GPU: jobs, clients, and what the table says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.gpu import rows
from bench.gpu.clients import Posted, Seat, wait_all
from bench.gpu.jobs import graph, mix, workflow
from bench.gpu.report import table
from bench.gpu.workers import marks
from scheduler.states import Job, JobState, Lane
from simulator.mix.cases import load_facts


def test_the_recorded_order_is_the_one_that_the_simulator_runs() -> None:
    assert mix(0) == list(load_facts().order)


def test_another_order_has_the_same_jobs() -> None:
    assert mix(1) != mix(0)
    assert Counter(mix(1)) == Counter(mix(0))
    assert mix(1) == mix(1)
    assert mix(2, times=3) == mix(2) * 3


def test_a_graph_has_the_size_that_its_name_says() -> None:
    made = graph("sdxl-1024-768-4-10", 5)
    inputs = {node["class_type"]: node["inputs"] for node in made.values()}
    size = {"width": 1024, "height": 768, "batch_size": 4}
    assert inputs["EmptyLatentImage"] == size
    assert inputs["KSampler"]["steps"] == 10
    assert inputs["CheckpointLoaderSimple"]["ckpt_name"] == "sdxl.safetensors"
    assert workflow("sd15-small-64-64-1-1").checkpoint == "sd15-small"


def test_two_jobs_of_one_case_share_no_node_that_samples() -> None:
    one, other = graph("sd15-512-512-1-20", 1), graph("sd15-512-512-1-20", 2)
    changed = {one[node]["class_type"] for node in one if one[node] != other[node]}
    assert changed == {"CLIPTextEncode", "KSampler"}


async def _told(*frames: dict[str, Any], early: bool = False) -> Posted:
    """What a client makes of a server that says so; ``early``: before its answer to the POST."""
    sockets: list[web.WebSocketResponse] = []

    async def listen(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sockets.append(socket)
        async for _ in socket:
            pass
        return socket

    async def take(_request: web.Request) -> web.Response:
        if early:
            for frame in frames:
                await sockets[0].send_json(frame)
        return web.json_response({"prompt_id": "p"})

    app = web.Application()
    app.add_routes([web.get("/ws", listen), web.post("/prompt", take)])
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as http,
        Seat(http, str(server.make_url("/"))).open() as seat,
    ):
        posted = await seat.post("plain-64-64-1-1", {})
        for frame in () if early else frames:
            await sockets[0].send_json(frame)
        await wait_all([posted], 5)
        await sockets[0].close()
    return posted


def _frame(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "data": {"prompt_id": "p", **more}}


async def test_a_client_knows_when_its_prompt_started_and_ended() -> None:
    posted = await _told(_frame("execution_start"), _frame("execution_success"))
    assert posted.succeeded
    assert posted.started_at is not None
    assert posted.ended_at is not None


async def test_an_error_is_told_by_its_type() -> None:
    posted = await _told(_frame("execution_error", exception_type="OutOfMemoryError"))
    assert posted.result == "error: OutOfMemoryError"


async def test_an_end_that_overtakes_the_answer_is_not_lost() -> None:
    frames = [_frame("execution_start"), _frame("execution_success")]
    assert (await _told(*frames, early=True)).succeeded


async def test_a_prompt_without_an_end_is_no_success() -> None:
    posted = Posted("plain-64-64-1-1", "p", 0.0)
    await wait_all([posted], 0.01)
    assert posted.result == "no end"


def test_marks_count_what_workers_wrote(tmp_path: Path) -> None:
    log = tmp_path / "comfyui.log"
    log.write_text("loaded partially 1 2\nOut of memory, retrying with tiled VAE\nloaded partially")
    assert marks([log, tmp_path / "none.log"]) == {"partial": 2, "tiled": 1, "oom": 0}


def _posted(seconds: float, result: str = "success") -> Posted:
    return Posted("sd15-512-512-1-20", "p", 10.0, 11.0, 10.0 + seconds, result)


def _row(part: str, seconds: float, failed: int = 0, **more: Any) -> rows.Row:
    posted = [_posted(seconds)] * (4 - failed) + [_posted(1, "error: x")] * failed
    setting = {"at": "2026-01-01 00:00:00", "gpu": "H200", "gib": 24, "order": 0, "times": 1}
    return {**setting, "part": part, "workers": 3, "round": 1, **rows.outcome(posted, []), **more}


def test_failed_jobs_count_for_nothing_in_the_table() -> None:
    text = table([_row("one", 20.0), _row("rr", 20.0, failed=2), _row("vramgate", 10.0)])
    one, robin, ours = text.splitlines()[1:4]
    assert "1.00×  2.00×" in one
    assert "0.50×  1.00×" in robin
    assert "2.00×  4.00×" in ours


def test_rounds_of_one_run_are_added_up() -> None:
    rounds = [_row("vramgate", 10.0), _row("vramgate", 6.0, round=2)]
    text = table([_row("one", 20.0), *rounds])
    (together,) = [line for line in text.splitlines() if " 1-2 " in line]
    assert "16.0 s" in together
    assert "2.50×" in together


def test_the_bound_is_what_was_measured_warm_by_what_sharing_gains() -> None:
    warm = {name: one.run_seconds for name, one in load_facts().cases.items()}
    row = {"at": "2026-01-01 00:00:00", "part": "warm", "gpu": "H200", "gib": 24, "warm": warm}
    told = {"comfyui": "0.3.64", "pytorch": "2.11", "warm_sum_s": 50.0}
    assert "bound" in table([{**row, **told}])
    half = {name: seconds / 2 for name, seconds in warm.items()}
    assert table([{**row, **told}]) != table([{**row, **told, "warm": half}])


def test_results_accumulate_over_runs(tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.jsonl"
    assert rows.read(file) == []
    rows.append(file, {"part": "one"})
    rows.append(file, {"part": "rr"})
    assert [row["part"] for row in rows.read(file)] == ["one", "rr"]


def _ended(*, reserved: int = 110, clean: bool = True) -> Job:
    """A job that was booked with 110 and took 100 bytes, without a load."""
    return Job(
        id="j",
        user="ann",
        group="default",
        prompt_id="p",
        client_id=None,
        state=JobState.SUCCEEDED,
        rev=5,
        attempt=1,
        number=1,
        lane=Lane.INTERACTIVE,
        fingerprint="f",
        models=(),
        need_bytes=110,
        need_seconds=2.0,
        needs_gpu=True,
        inputs=(),
        submitted_ms=0,
        reserved_bytes=reserved,
        peak_bytes=100,
        run_seconds=2.0,
        clean=clean,
    )


def _errors(ended: Job, runs: int) -> tuple[Any, Any]:
    posted = _posted(5.0)
    found = rows.booked({"p": ended}, [posted], {posted.case: runs})
    return found["byte_error"], found["byte_error_all"]


def test_errors_count_from_the_fourth_run_of_a_kind() -> None:
    assert _errors(_ended(), 2) == (None, 0.1)
    assert _errors(_ended(), 3) == (0.1, 0.1)


def test_a_peak_that_is_not_the_jobs_own_or_came_of_less_says_nothing_of_its_estimate() -> None:
    assert _errors(_ended(clean=False), 3) == (None, None)
    assert _errors(_ended(reserved=60), 3) == (None, None)
