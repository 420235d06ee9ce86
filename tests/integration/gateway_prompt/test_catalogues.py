"""``POST /prompt`` where not every worker has every model, and where classes are denied."""

from __future__ import annotations

from typing import Any

from config.settings import Role, Settings
from scheduler.catalogue import Catalogue, describe, missing
from scheduler.ledger import Report
from scheduler.states import Agent
from tests.factories import gpu, worker
from tests.integration.gateway_prompt.stage import Stage, graph, object_info


def with_models(*models: str) -> dict[str, Any]:
    node = {"input": {"required": {"name": [list(models), {}]}}, "output": ["IMAGE"]}
    return object_info() | {"Load": node, "Also": node}


async def offer(stage: Stage, *infos: dict[str, Any]) -> None:
    """Two workers that offer this, known to the ledger and to the gateway."""
    digests = []
    for info in infos:
        digest, document = describe(info)
        await stage.ledger.put_catalogue(digest, document)
        digests.append(digest)
    url = stage.services.agents.pool.agents["host"].url if stage.services.agents.pool.agents else ""
    workers = [worker(f"host-{n}", "g", catalogue=digest) for n, digest in enumerate(digests)]
    agent = Agent(id="host", url=url or stage.agent.url, version="1", heartbeat_ms=0)
    await stage.ledger.report(Report(agent=agent, workers=workers, gpus=[gpu("g", "host")]))
    await stage.services.agents.refresh()
    stage.services.info.note_change()


def loading(**names: str) -> dict[str, Any]:
    posted = graph()
    for node_id, name in names.items():
        posted[node_id] = {"class_type": node_id.title(), "inputs": {"name": name}}
    first, *_ = names
    posted["2"]["inputs"]["images"] = [first, 0]
    for node_id in list(names)[1:]:
        posted[f"save-{node_id}"] = {
            "class_type": "SaveImage",
            "inputs": {"images": [node_id, 0], "filename_prefix": "x"},
        }
    return posted


async def test_a_prompt_carries_what_its_worker_must_have(stage: Stage) -> None:
    stage.agent.answers["object_info"] = with_models("a", "b")
    await offer(stage, with_models("a"), with_models("a", "b"))
    await stage.services.info.object_info()
    job = await stage.queue(prompt=loading(load="b"))
    snapshot = await stage.ledger.snapshot(10)
    lacking = {
        one.id: bool(missing(snapshot.catalogues[one.catalogue], job.requires))
        for one in snapshot.workers
    }
    assert lacking == {"host-0": True, "host-1": False}


async def test_what_no_single_worker_has_is_refused_with_who_has_which(stage: Stage) -> None:
    stage.agent.answers["object_info"] = with_models("a", "b")
    await offer(stage, with_models("a"), with_models("b"))
    body = {"prompt": loading(load="a", also="b")}
    status, answer = await stage.call("POST", "/prompt", "ann", json=body)
    assert status == 400
    assert answer["error"]["type"] == "no_worker_has_all"
    assert "a is only on host-0" in answer["error"]["details"]
    assert "b is only on host-1" in answer["error"]["details"]
    assert await stage.ledger.remaining("ann") == 0


async def test_a_denied_class_is_refused_and_marked(stage: Stage) -> None:
    stage.settings = Settings.model_validate({"nodes": {"deny": [{"classes": ["emptyimage"]}]}})
    status, answer = await stage.call("POST", "/prompt", "ann", json={"prompt": graph()})
    assert status == 400
    assert answer["error"]["type"] == "node_denied"
    assert set(answer["node_errors"]) == {"1"}
    stage.roles["ada"] = Role.ADMIN
    await stage.post("/prompt", {"prompt": graph()}, "ada")


def test_a_catalogue_of_the_small_definitions_can_be_read_back() -> None:
    digest, document = describe(object_info())
    assert Catalogue(document).digest == digest
