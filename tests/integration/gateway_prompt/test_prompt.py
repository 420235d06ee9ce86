"""``POST /prompt`` and what the queue and history show of it afterwards."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from config.settings import Admission, Role, Settings, User
from scheduler.states import InputFile, Job, Lane
from tests.integration.gateway_prompt.stage import Stage, graph

SECRET = "token-that-nobody-may-see"


def node(class_type: Any, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


async def test_an_accepted_prompt_is_answered_like_comfyuis(stage: Stage) -> None:
    first = await stage.post("/prompt", {"prompt": graph("a"), "client_id": "tab"})
    second = await stage.post("/prompt", {"prompt": graph("b")})
    assert set(first) == {"prompt_id", "number", "node_errors"}
    assert first["node_errors"] == {}
    assert second["number"] > first["number"]
    assert await stage.get("/prompt") == {"exec_info": {"queue_remaining": 2}}


async def test_the_queue_shows_the_graph_as_posted_with_the_clients_id(stage: Stage) -> None:
    extra = {"extra_pnginfo": {"workflow": {"id": "w", "name": "größe"}}}
    job = await stage.queue(extra_data=extra)
    queue = await stage.get("/queue")
    item = [job.number, job.prompt_id, graph(), {**extra, "client_id": "tab"}, ["2"]]
    assert queue == {"queue_running": [], "queue_pending": [item]}
    await stage.start(job)
    assert await stage.get("/queue") == {"queue_running": [item], "queue_pending": []}


async def test_values_are_kept_as_validation_converts_them(stage: Stage) -> None:
    posted = graph()
    posted["1"]["inputs"]["width"] = "64"
    await stage.post("/prompt", {"prompt": posted})
    (item,) = (await stage.get("/queue"))["queue_pending"]
    assert item[2] == graph()


async def test_secrets_reach_the_worker_but_no_route_shows_them(stage: Stage) -> None:
    extra = {"auth_token_comfy_org": SECRET, "api_key_comfy_org": SECRET, "other": 1}
    job = await stage.queue(extra_data=extra)
    (body,) = await stage.ledger.prompts([job.id])
    assert body is not None
    assert msgspec.json.decode(body)["secrets"]["auth_token_comfy_org"] == SECRET
    shown = [await stage.get("/queue"), await stage.get("/jobs")]
    shown.append(await stage.get(f"/jobs/{job.prompt_id}"))
    await stage.settle(await stage.start(job))
    shown += [await stage.get("/history"), await stage.get(f"/history/{job.prompt_id}")]
    shown += [await stage.get("/jobs"), await stage.get(f"/jobs/{job.prompt_id}")]
    assert SECRET not in json.dumps(shown)
    assert '"other": 1' in json.dumps(shown)


async def test_a_clients_own_prompt_id_is_kept_and_may_be_used_once_per_user(stage: Stage) -> None:
    body = {"prompt": graph(), "prompt_id": "my own id, not a uuid"}
    answer = await stage.post("/prompt", body)
    assert answer["prompt_id"] == body["prompt_id"]
    status, error = await stage.call("POST", "/prompt", "ann", json=body)
    assert status == 400
    assert error["error"]["type"] == "invalid_prompt_id"
    assert (await stage.post("/prompt", body, "bob"))["prompt_id"] == body["prompt_id"]


async def test_a_repeated_idempotency_key_answers_as_the_first_time(stage: Stage) -> None:
    body = {"prompt": graph(), "extra_data": {"vramgate": {"idempotency_key": "k"}}}
    first = await stage.post("/prompt", body)
    assert await stage.post("/prompt", body) == first
    headers = {"Idempotency-Key": "k"}
    assert await stage.post("/prompt", {"prompt": graph()}, headers=headers) == first
    assert await stage.get("/prompt") == {"exec_info": {"queue_remaining": 1}}
    assert await stage.post("/prompt", body, "bob") != first


@pytest.mark.parametrize("ahead", [{"front": True}, {"front": 1}, {"number": -5}])
async def test_front_and_negative_numbers_lead_ones_own_share(
    stage: Stage, ahead: dict[str, Any]
) -> None:
    others = await stage.queue("bob")
    late = await stage.queue("ann")
    first = await stage.queue("ann", **ahead)
    assert [job.id for job in await stage.ledger.unfinished("ann")] == [first.id, late.id]
    assert [job.id for job in await stage.ledger.unfinished("bob")] == [others.id]


async def test_the_lane_comes_from_the_header_or_from_extra_data(stage: Stage) -> None:
    batch = await stage.queue(extra_data={"vramgate": {"lane": "batch"}})
    assert batch.lane is Lane.BATCH
    assert (await stage.queue()).lane is Lane.INTERACTIVE
    headers = {"X-Vramgate-Lane": "batch"}
    answer = await stage.post("/prompt", {"prompt": graph()}, headers=headers)
    job = await stage.ledger.find("ann", answer["prompt_id"])
    assert job is not None
    assert job.lane is Lane.BATCH


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; drop", False),
        ("x" * 4000, False),
    ],
)
async def test_the_clients_trace_is_kept_with_the_prompt(
    stage: Stage, given: str, kept: bool
) -> None:
    body = {"prompt": graph(), "extra_data": {"vramgate": {"lane": "batch"}, "a": 1}}
    answer = await stage.post("/prompt", body, headers={"traceparent": given})
    (stored,) = await stage.ledger.prompts([answer["prompt_id"]])
    assert stored is not None
    ours = {"lane": "batch"} | ({"traceparent": given} if kept else {})
    assert json.loads(stored)["extra_data"] == {"vramgate": ours, "a": 1}


async def test_a_deadline_comes_from_the_header_or_from_extra_data(stage: Stage) -> None:
    body = {"prompt": graph(), "extra_data": {"vramgate": {"deadline_s": 90}}}
    answers = [
        await stage.post("/prompt", body),
        await stage.post("/prompt", body, headers={"X-Vramgate-Deadline": "7.5"}),
        await stage.post("/prompt", {"prompt": graph()}),
    ]
    jobs = [await stage.ledger.find("ann", answer["prompt_id"]) for answer in answers]
    assert [_deadline_s(job) for job in jobs] == [90, 7.5, None]


def _deadline_s(job: Job | None) -> float | None:
    assert job is not None
    return (job.deadline_ms - job.submitted_ms) / 1000 if job.deadline_ms else None


@pytest.mark.parametrize("given", ["", "soon", "0", "-1", "nan", "inf", "1e999", "31536001"])
async def test_a_deadline_that_is_none_is_a_400_that_names_the_header(
    stage: Stage, given: str
) -> None:
    headers = {"X-Vramgate-Deadline": given}
    status, answer = await stage.call(
        "POST", "/prompt", "ann", json={"prompt": graph()}, headers=headers
    )
    assert status == 400
    assert answer["error"]["type"] == "invalid_deadline"
    assert "X-Vramgate-Deadline" in answer["error"]["message"]
    assert await stage.ledger.remaining("ann") == 0


async def test_one_bad_output_among_good_ones_is_reported_and_left_out(stage: Stage) -> None:
    posted = graph()
    posted["5"] = node("EmptyImage", width=0, height=8, batch_size=1, color=0)
    posted["6"] = node("SaveImage", images=["5", 0], filename_prefix="x")
    answer = await stage.post("/prompt", {"prompt": posted})
    assert answer["node_errors"]["5"]["errors"][0]["type"] == "value_smaller_than_min"
    (item,) = (await stage.get("/queue"))["queue_pending"]
    assert item[4] == ["2"]


async def test_partial_execution_targets_keep_only_these_outputs(stage: Stage) -> None:
    posted = {**graph(), "3": node("SaveImage", images=["1", 0], filename_prefix="b")}
    await stage.post("/prompt", {"prompt": posted, "partial_execution_targets": ["3"]})
    (item,) = (await stage.get("/queue"))["queue_pending"]
    assert item[4] == ["3"]


async def test_files_are_pinned_by_content_and_only_ones_own_count(stage: Stage) -> None:
    file = InputFile(path="sub/pic.png", sha256="a" * 64, size_bytes=3)
    await stage.input_files.put("ann", "input", file)
    posted = {
        "1": node("LoadImage", image="sub/pic.png [input]"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    answer = await stage.post("/prompt", {"prompt": posted})
    job = await stage.ledger.find("ann", answer["prompt_id"])
    assert job is not None
    assert job.inputs == (file,)
    await stage.input_files.put(
        "ann", "input", InputFile(path=file.path, sha256="b" * 64, size_bytes=3)
    )
    job = await stage.ledger.find("ann", answer["prompt_id"])
    assert job is not None
    assert job.inputs == (file,)
    status, error = await stage.call("POST", "/prompt", "bob", json={"prompt": posted})
    assert status == 400
    assert error["node_errors"]["1"]["errors"][0]["type"] == "custom_validation_failed"


async def test_a_model_and_the_pictures_of_its_scene_are_pinned_and_only_ones_own_count(
    stage: Stage,
) -> None:
    model = InputFile(path="3d/m.glb", sha256="a" * 64, size_bytes=3)
    view = InputFile(path="threed/s.png", sha256="b" * 64, size_bytes=3)
    await stage.input_files.put("ann", "input", model)
    await stage.input_files.put("ann", "temp", view)
    scene = {"image": "threed/s.png [temp]", "recording": "", "camera_info": {"zoom": 1}}
    posted = {
        "1": node("Load3D", model_file="3d/m.glb", image=scene),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    answer = await stage.post("/prompt", {"prompt": posted})
    job = await stage.ledger.find("ann", answer["prompt_id"])
    assert job is not None
    assert job.inputs == (model, replace(view, path="threed/s.png [temp]"))
    status, error = await stage.call("POST", "/prompt", "bob", json={"prompt": posted})
    assert status == 400
    assert error["node_errors"]["1"]["errors"][0]["type"] == "value_not_in_list"
    # with a model of its own the scene's pictures are still not those of another user
    await stage.input_files.put("bob", "input", model)
    answer = await stage.post("/prompt", {"prompt": posted}, "bob")
    job = await stage.ledger.find("bob", answer["prompt_id"])
    assert job is not None
    assert job.inputs == (model,)


LINK = node("SaveImage", images=["1", 0], filename_prefix="x")
CYCLE = {
    "1": node("ImageInvert", image=["3", 0]),
    "3": node("ImageInvert", image=["1", 0]),
    "2": LINK,
}
BAD: dict[str, tuple[bytes, str]] = {
    "malformed": (b"{not json", "invalid_json"),
    "empty body": (b"", "invalid_json"),
    "lone surrogate": (b'{"prompt": {"\\ud800": 1}}', "invalid_json"),
    "nested too deeply": (b'{"prompt":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no_prompt"),
    "list": (b"[]", "no_prompt"),
    "number": (b"7", "no_prompt"),
    "null": (b"null", "no_prompt"),
    "no prompt": (b'{"client_id": "c"}', "no_prompt"),
    "prompt is a string": (b'{"prompt": "x"}', "no_prompt"),
    "prompt is a list": (b'{"prompt": []}', "no_prompt"),
    "empty prompt": (b'{"prompt": {}}', "prompt_no_outputs"),
    "node is a string": (b'{"prompt": {"1": "x"}}', "invalid_prompt"),
    "no class": (b'{"prompt": {"1": {"inputs": {}}}}', "invalid_prompt"),
    "unknown class": (b'{"prompt": {"1": {"class_type": "Nope"}}}', "invalid_prompt"),
    "class is a list": (b'{"prompt": {"1": {"class_type": ["a"]}}}', "invalid_prompt"),
    "cycle": (json.dumps({"prompt": CYCLE}).encode(), "prompt_outputs_failed_validation"),
    "wrong type": (
        json.dumps({"prompt": {**graph(), "1": node("EmptyImage", width="abc")}}).encode(),
        "prompt_outputs_failed_validation",
    ),
    "link to nowhere": (
        json.dumps({"prompt": {"2": LINK}}).encode(),
        "prompt_outputs_failed_validation",
    ),
    "inputs is a list": (
        b'{"prompt": {"2": {"class_type": "SaveImage", "inputs": []}}}',
        "prompt_outputs_failed_validation",
    ),
    "long prompt_id": (
        json.dumps({"prompt": graph(), "prompt_id": "x" * 129}).encode(),
        "invalid_prompt_id",
    ),
    "control characters in prompt_id": (
        json.dumps({"prompt": graph(), "prompt_id": "a\nb"}).encode(),
        "invalid_prompt_id",
    ),
    "empty prompt_id": (
        json.dumps({"prompt": graph(), "prompt_id": ""}).encode(),
        "invalid_prompt_id",
    ),
    "long client_id": (
        json.dumps({"prompt": graph(), "client_id": "x" * 257}).encode(),
        "invalid_client_id",
    ),
    "number is a word": (json.dumps({"prompt": graph(), "number": "x"}).encode(), "invalid_number"),
    "number is a list": (json.dumps({"prompt": graph(), "number": []}).encode(), "invalid_number"),
    "unknown lane": (
        json.dumps({"prompt": graph(), "extra_data": {"vramgate": {"lane": "x"}}}).encode(),
        "invalid_lane",
    ),
    **{
        f"deadline {given!r}": (
            json.dumps(
                {"prompt": graph(), "extra_data": {"vramgate": {"deadline_s": given}}}
            ).encode(),
            "invalid_deadline",
        )
        for given in (0, -3, True, "x", [], {}, 1e300)
    },
    "targets is a word": (
        json.dumps({"prompt": graph(), "partial_execution_targets": "2"}).encode(),
        "invalid_targets",
    ),
    "no such target": (
        json.dumps({"prompt": graph(), "partial_execution_targets": ["1"]}).encode(),
        "prompt_no_outputs",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_prompt_is_a_400_in_comfyuis_shape_and_queues_nothing(
    stage: Stage, name: str
) -> None:
    body, expected = BAD[name]
    status, answer = await stage.call("POST", "/prompt", "ann", data=body)
    assert status == 400
    assert answer["error"]["type"] == expected
    assert set(answer) == {"error", "node_errors"}
    assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
    assert await stage.ledger.remaining("ann") == 0


async def test_a_body_without_a_prompt_is_refused_in_comfyuis_words(stage: Stage) -> None:
    _, answer = await stage.call("POST", "/prompt", "ann", data=b'{"client_id": "c"}')
    words = "No prompt provided"
    error = {"type": "no_prompt", "message": words, "details": words, "extra_info": {}}
    assert answer == {"error": error, "node_errors": {}}


@pytest.mark.parametrize(
    "fields",
    [
        {"client_id": 7},
        {"client_id": None},
        {"extra_data": None},
        {"extra_data": []},
        {"extra_data": {"vramgate": 3}},
        {"extra_data": {"extra_pnginfo": "x"}},
        {"prompt_id": 12},
        {"front": "yes"},
        {"number": 1e300},
    ],
    ids=str,
)
async def test_odd_fields_that_mean_nothing_do_no_harm(
    stage: Stage, fields: dict[str, Any]
) -> None:
    await stage.post("/prompt", {"prompt": graph(), **fields})
    await stage.get("/queue")
    await stage.get("/jobs")


async def test_nan_from_a_python_client_is_stored_as_null(stage: Stage) -> None:
    posted = graph()
    posted["1"]["is_changed"] = [float("nan")]
    data = json.dumps({"prompt": posted}).encode()
    status, _ = await stage.call("POST", "/prompt", "ann", data=data)
    assert status == 200
    (item,) = (await stage.get("/queue"))["queue_pending"]
    assert item[2]["1"]["is_changed"] == [None]


async def test_a_viewer_may_not_submit(stage: Stage) -> None:
    stage.roles["eve"] = Role.VIEWER
    status, answer = await stage.call("POST", "/prompt", "eve", json={"prompt": graph()})
    assert status == 403
    assert answer["error"]["type"] == "viewer_may_not_submit"
    assert await stage.ledger.remaining("eve") == 0


async def test_over_the_cap_is_a_429_that_tells_count_and_limit(stage: Stage) -> None:
    stage.settings = Settings(users=(User(name="ann", max_queued=2),))
    await stage.queue()
    await stage.queue()
    status, answer = await stage.call("POST", "/prompt", "ann", json={"prompt": graph()})
    assert status == 429
    assert answer["error"]["type"] == "queue_full"
    assert answer["error"]["extra_info"] == {"queued": 2, "limit": 2}
    await stage.queue("bob")


async def test_of_two_that_come_at_once_for_the_last_place_one_is_taken(stage: Stage) -> None:
    stage.settings = Settings(users=(User(name="ann", max_queued=1),))
    posts = [stage.call("POST", "/prompt", "ann", json={"prompt": graph()}) for _ in range(2)]
    assert sorted([status for status, _ in await asyncio.gather(*posts)]) == [200, 429]
    assert await stage.ledger.remaining("ann") == 1


async def test_a_full_pool_is_a_429_for_everybody_and_loses_nothing(stage: Stage) -> None:
    stage.settings = Settings.model_validate({"scheduler": {"max_queued": 2}})
    await stage.queue("ann")
    await stage.queue("bob")
    status, answer = await stage.call("POST", "/prompt", "cyd", json={"prompt": graph()})
    assert status == 429
    assert answer["error"]["type"] == "pool_full"
    assert answer["error"]["extra_info"] == {"unfinished": 2, "limit": 2}
    assert [await stage.ledger.remaining(user) for user in ("ann", "bob", "cyd")] == [1, 1, 0]


async def test_a_graph_that_needs_no_gpu_passes_any_memory_limit(stage: Stage) -> None:
    stage.settings = Settings(users=(User(name="ann", max_bytes=0),))
    assert (await stage.queue("ann")).needs_gpu is False


async def test_with_no_worker_ever_seen_a_well_formed_prompt_waits(bare_stage: Stage) -> None:
    posted = {"1": node("AnyNode", value=1)}
    answer = await bare_stage.post("/prompt", {"prompt": posted})
    (item,) = (await bare_stage.get("/queue"))["queue_pending"]
    assert item[1:3] == [answer["prompt_id"], posted]
    for bad in ({}, {"1": "x"}, {"1": {"inputs": {}}}, {"1": {"class_type": 3}}):
        status, _ = await bare_stage.call("POST", "/prompt", "ann", json={"prompt": bad})
        assert status == 400


@pytest.mark.parametrize(
    "settings",
    [
        Settings(admission=Admission(max_job_bytes=2**20)),
        Settings(users=(User(name="ann", max_bytes=2**20),)),
        Settings(
            admission=Admission(max_job_bytes=2**20), users=(User(name="ann", max_bytes=2**40),)
        ),
    ],
    ids=["everybody's", "the user's own", "the lower of both"],
)
async def test_over_an_admins_limit_is_refused_with_need_and_limit(
    bare_stage: Stage, settings: Settings
) -> None:
    bare_stage.settings = settings
    posted = {"1": node("CheckpointLoaderSimple", ckpt_name="a.safetensors")}
    status, answer = await bare_stage.call("POST", "/prompt", "ann", json={"prompt": posted})
    assert status == 400
    assert answer["error"]["type"] == "over_memory_limit"
    assert "GiB" in answer["error"]["message"]
    assert answer["error"]["extra_info"]["limit_bytes"] == 2**20
    assert await bare_stage.ledger.remaining("ann") == 0
