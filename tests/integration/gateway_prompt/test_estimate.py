"""``POST /dashboard/api/v1/estimate``: what would be booked, where it fits, when it would start."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Role, Settings
from dashboard.estimate import MOST_BYTES
from scheduler.ledger import Report, Trust
from scheduler.profile import Profile, add_bytes, add_whole_oom, to_json
from scheduler.redis_ledger import RedisLedger
from scheduler.states import Agent, Job
from tests.factories import GIB, gpu, worker
from tests.integration.gateway_prompt.stage import Stage, a_stage, object_info
from tests.integration.gateway_prompt.test_need import ENCODING, definitions, sized, upload

PATH = "/dashboard/api/v1/estimate"


@pytest.fixture
async def studio(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Stage]:
    """Two workers on one 24 GiB GPU; a checkpoint of 6 GiB and a picture of ann's."""
    async with a_stage(ledger, tmp_path, known=object_info() | definitions()) as running:
        await upload(running, 64)
        sized(running, "checkpoints", 6 * GIB)
        yield running


async def estimate(stage: Stage, body: Any = None, user: str = "ann") -> dict[str, Any]:
    answer: dict[str, Any] = await stage.post(PATH, ENCODING if body is None else body, user)
    return answer


async def refused(stage: Stage, body: Any, user: str = "ann") -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await stage.call("POST", PATH, user, data=data)


async def learned(stage: Stage, job: Job, profile: Profile) -> None:
    """Let the job run, and teach its kind."""
    await stage.settle(await stage.start(job))
    blobs = {job.fingerprint: to_json(profile).encode()}
    assert await stage.ledger.learn(stage.epoch, job.id, blobs)


async def test_the_figures_are_those_that_a_prompt_is_booked_with(studio: Stage) -> None:
    found = await estimate(studio)
    job = await studio.queue(prompt=ENCODING)
    assert found["bytes"]["need"] == job.need_bytes
    assert found["bytes"]["curve"] == [{"bytes": s.bytes, "seconds": s.seconds} for s in job.curve]
    assert found["seconds"] == {
        "run": job.need_seconds,
        "late": job.late_seconds,
        "load": job.load_seconds,
    }
    assert found["host_bytes"] == job.host_bytes
    assert found["models"] == [{"name": "checkpoints/big.safetensors", "bytes": 6 * GIB}]


async def test_nothing_is_queued(studio: Stage) -> None:
    await estimate(studio)
    assert await studio.ledger.unfinished("ann") == []
    assert await studio.ledger.counts() == []


async def test_a_graph_may_be_posted_bare_or_as_a_prompt(studio: Stage) -> None:
    assert await estimate(studio, {"prompt": ENCODING}) == await estimate(studio)


async def test_a_new_kind_is_cold_and_a_known_one_says_its_runs(studio: Stage) -> None:
    new = await estimate(studio)
    assert (new["cold"], new["runs"]) == (True, 0)
    profile = Profile()
    for _ in range(3):
        profile = add_bytes(profile, 0.5, 1, 1.0)
    await learned(studio, await studio.queue(prompt=ENCODING), profile)
    known = await estimate(studio)
    assert known["cold"] is False
    assert known["bytes"]["need"] < new["bytes"]["need"]


async def test_on_a_free_gpu_it_starts_at_once(studio: Stage) -> None:
    found = await estimate(studio)
    (place,) = found["places"]
    assert place["id"] == "host-gpu-0"
    assert place["fits"] == "now"
    assert found["start"]["p50_seconds"] == found["start"]["p90_seconds"] == 0
    assert found["start"]["gpu"] == "host-gpu-0"
    assert found["refused"] == ""


async def test_behind_others_it_starts_later_and_by_what_forecasts_were_worth(
    studio: Stage,
) -> None:
    for _ in range(6):
        await studio.queue(prompt=FILELESS)
    before = await estimate(studio)
    assert 0 < before["start"]["p50_seconds"] <= before["start"]["p90_seconds"]
    worth = Trust(p50_factor=2.0, p90_factor=3.0, coverage=0.9, scored=50)
    await studio.ledger.foresee(studio.epoch, {}, worth)
    after = await estimate(studio)
    assert after["start"]["p50_seconds"] > 1.5 * before["start"]["p50_seconds"]
    assert after["forecasts"] == {"coverage": 0.9, "scored": 50}


FILELESS: dict[str, Any] = ENCODING | {
    "2": {
        "class_type": "EmptyImage",
        "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 0},
    }
}


async def test_a_gpu_that_is_taken_fits_when_it_is_free(studio: Stage) -> None:
    for name in ("bob", "carol"):
        await studio.start(await studio.queue(name, prompt=FILELESS))
    (place,) = (await estimate(studio))["places"]
    assert place["fits"] == "when_free"


async def test_a_smaller_gpu_never_fits(studio: Stage) -> None:
    sized(studio, "checkpoints", 6 * GIB)
    small = gpu("host-gpu-1", "host", index=1, total_bytes=4 * GIB)
    await report(studio, more=[small])
    fits = {place["id"]: place["fits"] for place in (await estimate(studio))["places"]}
    assert fits == {"host-gpu-0": "now", "host-gpu-1": "never"}


async def report(stage: Stage, used: int = 0, more: Any = ()) -> None:
    (agent,) = (await stage.ledger.pool()).agents.values()
    used_by = [worker("host-0", "host-gpu-0", used_bytes=used), worker("host-1", "host-gpu-0")]
    used_by += [worker(f"host-{n}", one.id) for n, one in enumerate(more, 2)]
    cards = [gpu("host-gpu-0", "host", used_bytes=used), *more]
    seen = Agent(id="host", url=agent.url, version="1", heartbeat_ms=0)
    await stage.ledger.report(Report(agent=seen, workers=used_by, gpus=cards))


async def test_what_would_be_refused_says_so_with_its_figures(studio: Stage) -> None:
    studio.settings = Settings.model_validate({"admission": {"max_job_bytes": "1GiB"}})
    found = await estimate(studio)
    assert "1.0 GiB are allowed" in found["refused"]
    assert found["start"] is None
    assert found["bytes"]["need"] > GIB


async def test_what_was_proven_not_to_fit_would_be_refused(studio: Stage) -> None:
    job = await studio.queue(prompt=ENCODING)
    profile = Profile()
    for _ in range(2):
        profile = add_whole_oom(profile, 24 * GIB / job.guess.bytes)
    await learned(studio, job, profile)
    assert "does not fit" in (await estimate(studio))["refused"]


async def test_without_any_worker_there_is_an_estimate_but_no_start(bare_stage: Stage) -> None:
    found = await estimate(bare_stage, FILELESS)
    assert found["places"] == []
    assert found["start"] is None
    assert found["bytes"]["need"] > 0
    assert found["models"][0]["bytes"] is None


async def test_whoever_has_more_waiting_than_is_looked_at_gets_no_forecast(studio: Stage) -> None:
    for _ in range(51):
        await studio.queue(prompt=FILELESS)
    assert (await estimate(studio))["start"] is None
    assert (await estimate(studio, FILELESS, "bob"))["start"] is not None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no JSON"),
        (b"[1]", "JSON object"),
        (b"{}", "class_type"),
        ({"nodes": [], "links": []}, "Export (API)"),
        ({"1": {"inputs": {}}}, "class_type"),
        ({"1": 5}, "class_type"),
        ({"prompt": {}}, "class_type"),
        (b"[" * 100_000, "nested"),
    ],
)
async def test_what_is_no_workflow_is_refused_in_words(
    studio: Stage, body: Any, words: str
) -> None:
    status, answer = await refused(studio, body)
    assert status == 400
    assert words in answer["error"]


async def test_an_invalid_graph_is_refused_as_comfyui_words_it(studio: Stage) -> None:
    status, answer = await refused(studio, {"1": {"class_type": "Nothing", "inputs": {}}})
    assert status == 400
    assert "Nothing" in answer["error"]
    wrong = {**ENCODING, "1": {"class_type": "CheckpointLoaderSimple", "inputs": {}}}
    status, answer = await refused(studio, wrong)
    assert status == 400
    assert "1" in answer["node_errors"]


async def test_a_body_that_is_too_large_is_refused(studio: Stage) -> None:
    status, answer = await refused(studio, b" " * (MOST_BYTES + 1))
    assert status == 413
    assert "8 MiB" in answer["error"]


# ── deadlines that the forecast misses ───────────────────────────────────────


async def post_by(stage: Stage, deadline_s: float, **ours: Any) -> tuple[int, Any]:
    extra = {"vramgate": {"deadline_s": deadline_s, **ours}}
    return await stage.call(
        "POST", "/prompt", "ann", json={"prompt": FILELESS, "extra_data": extra}
    )


async def test_a_prompt_that_would_miss_its_deadline_is_refused_at_once(studio: Stage) -> None:
    for _ in range(6):
        await studio.queue(prompt=FILELESS)
    status, answer = await post_by(studio, 0.5)
    assert status == 400
    assert answer["error"]["type"] == "deadline_missed"
    assert answer["error"]["extra_info"]["start_p50_seconds"] > 0.5
    assert await studio.ledger.remaining("ann") == 6


@pytest.mark.parametrize(
    ("deadline_s", "ours"),
    [(3600.0, {}), (0.5, {"accept_late": True}), (0.5, {"idempotency_key": "again"})],
    ids=["in time", "wanted all the same", "perhaps queued before"],
)
async def test_other_deadlines_are_taken(
    studio: Stage, deadline_s: float, ours: dict[str, Any]
) -> None:
    for _ in range(6):
        await studio.queue(prompt=FILELESS)
    assert (await post_by(studio, deadline_s, **ours))[0] == 200


async def test_where_nobody_can_say_a_deadline_is_taken(bare_stage: Stage) -> None:
    assert (await post_by(bare_stage, 0.5))[0] == 200


# ── nobody learns of others ──────────────────────────────────────────────────


async def test_another_users_picture_is_not_found(studio: Stage) -> None:
    status, answer = await refused(studio, ENCODING, user="bob")
    assert status == 400
    assert "2" in answer["node_errors"]


async def test_nothing_tells_who_else_waits_or_what_with(studio: Stage) -> None:
    studio.roles["eve"] = Role.VIEWER
    for name in ("bob", "carol"):
        await studio.queue(name, prompt=FILELESS, client_id=f"{name}s-tab")
    running = await studio.start(await studio.queue("dave", prompt=FILELESS))
    await report(studio, used=6 * GIB)
    for user in ("mallory", "eve"):
        text = json.dumps(await estimate(studio, FILELESS, user))
        for secret in ("bob", "carol", "dave", running.id, running.prompt_id):
            assert secret not in text


async def test_models_that_others_have_loaded_are_not_named(studio: Stage) -> None:
    (agent,) = (await studio.ledger.pool()).agents.values()
    secret = worker("host-0", "host-gpu-0", models=("checkpoints/secret.safetensors",))
    seen = Agent(id="host", url=agent.url, version="1", heartbeat_ms=0)
    cards = [gpu("host-gpu-0", "host")]
    await studio.ledger.report(Report(agent=seen, workers=[secret], gpus=cards))
    assert "secret" not in json.dumps(await estimate(studio))
