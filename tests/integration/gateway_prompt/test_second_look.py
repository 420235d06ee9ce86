"""Values that the rules refuse at a node pack's nodes are tried on a worker, and only those."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.redis_ledger import RedisLedger
from scheduler.states import InputFile
from tests.integration.gateway_prompt.stage import Stage, a_stage, graph, object_info


@pytest.fixture
async def picking(ledger: RedisLedger, tmp_path: Path) -> AsyncIterator[Stage]:
    """A gateway whose workers have a pack's class with a list of its own."""
    known = object_info()
    known["Picker"] = {
        **known["SaveImage"],
        "input": {"required": {"images": ["IMAGE"], "style": [["oil", "ink"], {}]}},
        "python_module": "custom_nodes.picker",
    }
    known["SolidMask"] = {**known["EmptyImage"], "output": ["MASK"], "output_name": ["MASK"]}
    async with a_stage(ledger, tmp_path, known=known) as running:
        yield running


def picked(style: Any = "chalk") -> dict[str, Any]:
    node = {"class_type": "Picker", "inputs": {"images": ["1", 0], "style": style}}
    return {"1": graph()["1"], "3": node}


async def post(stage: Stage, prompt: dict[str, Any]) -> tuple[int, Any]:
    return await stage.call("POST", "/prompt", "ann", json={"prompt": prompt})


async def test_what_a_pack_allows_is_queued_though_its_list_does_not_say_so(
    picking: Stage,
) -> None:
    picking.agent.refused = []
    status, answer = await post(picking, picked())
    assert status == 200
    assert answer["node_errors"] == {}
    assert picking.agent.judged == [picked()]
    (job,) = (await picking.ledger.snapshot(10)).backlogs[0].jobs
    assert job.prompt_id == answer["prompt_id"]


@pytest.mark.parametrize("refused", [["3"], None])
async def test_what_its_worker_refuses_or_nobody_can_judge_is_a_400_in_our_words(
    picking: Stage, refused: list[str] | None
) -> None:
    picking.agent.refused = refused
    status, answer = await post(picking, picked())
    assert status == 400
    assert [error["type"] for error in answer["node_errors"]["3"]["errors"]] == [
        "value_not_in_list"
    ]


MASK = graph()["1"]["inputs"]


@pytest.mark.parametrize(
    ("refused", "inputs", "errors"),
    [
        ([], MASK, {}),
        (["3"], MASK, {"3": "return_type_mismatch"}),
        ([], MASK | {"width": "wide"}, {"5": "invalid_input_type"}),
    ],
)
async def test_a_link_of_another_type_is_followed_where_the_packs_code_takes_it(
    picking: Stage, refused: list[str], inputs: dict[str, Any], errors: dict[str, str]
) -> None:
    picking.agent.refused = refused
    prompt = picked("ink") | {"5": {"class_type": "SolidMask", "inputs": inputs}}
    prompt["3"]["inputs"]["images"] = ["5", 0]
    status, answer = await post(picking, prompt)
    assert status == (400 if errors else 200)
    found = {node_id: node["errors"][0]["type"] for node_id, node in answer["node_errors"].items()}
    assert found == errors


async def test_a_good_prompt_asks_no_worker(picking: Stage) -> None:
    assert (await post(picking, picked("ink")))[0] == 200
    assert picking.agent.judged == []


async def test_the_rules_alone_judge_nodes_of_comfyui_itself(picking: Stage) -> None:
    picking.agent.refused = []
    wide = {"1": {**graph()["1"], "inputs": {**graph()["1"]["inputs"], "width": 10**9}}}
    assert (await post(picking, {**graph(), **wide}))[0] == 400
    assert picking.agent.judged == []


async def test_what_is_missing_is_missing_whatever_a_worker_says(picking: Stage) -> None:
    picking.agent.refused = []
    bare = {"3": {"class_type": "Picker", "inputs": {"style": "chalk"}}}
    assert (await post(picking, bare))[0] == 400


async def test_a_node_beside_it_that_is_wrong_stays_so(picking: Stage) -> None:
    picking.agent.refused = []
    wrong = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}
    status, answer = await post(picking, picked() | {"4": wrong})
    assert status == 200
    assert set(answer["node_errors"]) == {"4"}


@pytest.mark.parametrize(
    "value",
    [
        "vg/bob/film.mp4",
        "VG/bob",
        "./vg/bob/film.mp4",
        "sub/../vg/bob/film.mp4",
        "sub\\..\\vg\\bob",
        '"vg/bob/film.mp4"',
        " vg /bob/film.mp4",
        "vg./bob/film.mp4",
        "..",
        "",
        "/etc/hosts.png",
        "C:/users/film.mp4",
        "ComfyUI_00001_.png [output]",
        "ComfyUI_temp_abcde_00001_.png [temp]",
        "vg/bob/film.mp4 [input]",
    ],
)
async def test_a_value_that_leads_to_others_files_is_refused_whatever_a_worker_says(
    picking: Stage, value: str
) -> None:
    picking.agent.refused = []
    assert (await post(picking, picked(value)))[0] == 400
    assert picking.agent.judged == []


async def test_a_value_with_a_folder_that_is_nobodys_is_tried(picking: Stage) -> None:
    picking.agent.refused = []
    for value in ("styles/oil.json", "oil and ink", "styles/", "16:9"):
        assert (await post(picking, picked(value)))[0] == 200


CLIP = InputFile(path="clip.mp4", sha256="a" * 64, size_bytes=3)


async def test_an_upload_is_good_for_a_packs_list_that_was_made_before_it(picking: Stage) -> None:
    picking.agent.refused = ["3"]
    await picking.input_files.put("ann", "input", CLIP)
    status, answer = await post(picking, picked("clip.mp4"))
    assert (status, picking.agent.judged) == (200, [])
    job = await picking.ledger.find("ann", answer["prompt_id"])
    assert job is not None
    assert [file.path for file in job.inputs] == ["clip.mp4"]
    # of another user's nobody else's prompt knows
    body = {"prompt": picked("clip.mp4")}
    assert (await picking.call("POST", "/prompt", "bob", json=body))[0] == 400
