from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from aiohttp import web

from config.settings import Settings
from scheduler.ledger import Report
from scheduler.states import Agent, WorkerState
from tests.factories import gpu, worker
from tests.integration.gateway_info.conftest import (
    ANN,
    BOB,
    KEYS,
    FakeAgent,
    Gateway,
    Start,
    as_user,
)
from tests.integration.gateway_info.test_files import upload
from tests.integration.gateway_info.test_packs import run


def definitions(*checkpoints: str) -> dict[str, Any]:
    return {
        "CheckpointLoaderSimple": {
            "input": {"required": {"ckpt_name": [list(checkpoints), {}]}},
            "output": ["MODEL"],
        },
        "LoadImage": {
            "input": {
                "required": {"image": [["example.png", "t_bob.png"], {"image_upload": True}]}
            },
            "output": ["IMAGE"],
        },
        "SaveImage": {"input": {"required": {"images": ["IMAGE"]}}, "output": []},
    }


STATS = {
    "system": {
        "os": "posix",
        "ram_total": 100,
        "ram_free": 50,
        "comfyui_version": "0.3.64",
        "python_version": "3.11",
        "pytorch_version": "2.13",
        "embedded_python": False,
        "argv": ["main.py", "--base-directory", "/srv/secret"],
        "base_path": "/srv/secret",
    },
    "devices": [{"name": "cuda:0", "vram_total": 1}],
}


@pytest.fixture(autouse=True)
def worker_answers(agent: FakeAgent) -> None:
    agent.routes |= {"object_info": definitions("a.safetensors"), "system_stats": STATS}


async def etag_of(gateway: Gateway, who: dict[str, str] = ANN) -> str:
    answer = await gateway.client.get("/object_info", headers=who)
    return answer.headers["ETag"]


def image_choices(info: dict[str, Any]) -> Any:
    return info["LoadImage"]["input"]["required"]["image"][0]


class TestObjectInfo:
    async def test_file_choices_are_the_users_own_and_nobody_elses(self, gateway: Gateway) -> None:
        await upload(gateway, name="mine.png")
        await upload(gateway, name="hidden.png", subfolder="sub")
        await upload(gateway, name="his.png", who=BOB)
        for path in ("/object_info", "/api/object_info/LoadImage"):
            assert image_choices(await gateway.json(path, ANN)) == ["mine.png"]
            assert image_choices(await gateway.json(path, BOB)) == ["his.png"]

    async def test_an_upload_shows_up_at_once_and_changes_only_that_users_tag(
        self, gateway: Gateway
    ) -> None:
        ann, bob = await etag_of(gateway), await etag_of(gateway, BOB)
        await upload(gateway, name="new.png")
        assert image_choices(await gateway.json("/object_info")) == ["new.png"]
        assert await etag_of(gateway) != ann
        assert await etag_of(gateway, BOB) == bob

    async def test_a_known_tag_is_answered_304_in_either_encoding(self, gateway: Gateway) -> None:
        for encoding in ("gzip", "identity"):
            headers = {**ANN, "Accept-Encoding": encoding}
            first = await gateway.client.get("/object_info", headers=headers)
            assert first.status == 200
            assert (first.headers.get("Content-Encoding") == "gzip") is (encoding == "gzip")
            tag = first.headers["ETag"]
            again = await gateway.client.get(
                "/object_info", headers={**headers, "If-None-Match": f'"x", {tag}'}
            )
            assert (again.status, await again.read()) == (304, b"")
            other = await gateway.client.get(
                "/object_info", headers={**headers, "If-None-Match": '"x"'}
            )
            assert other.status == 200

    async def test_both_encodings_hold_the_same_definitions(self, gateway: Gateway) -> None:
        packed = await gateway.services.info.packed("ann")
        assert packed is not None
        assert json.loads(gzip.decompress(packed.gzipped)) == json.loads(packed.plain())
        assert set(json.loads(packed.plain())) == set(definitions())

    async def test_workers_are_asked_once_and_again_when_they_change(
        self, gateway: Gateway
    ) -> None:
        for who in (ANN, BOB, ANN):
            await gateway.json("/object_info", who)
        assert gateway.agent.asked.count("object_info") == 1
        await gateway.services.agents.refresh()
        gateway.services.info.note_change()  # what an event of memory or jobs leads to
        await gateway.json("/object_info")
        asked = gateway.agent.asked.count("object_info")

        workers = [worker(f"host-{n}", "host-gpu") for n in range(2)]
        await report(gateway, workers)
        gateway.agent.routes["object_info"] = definitions("b.safetensors")
        await gateway.services.agents.refresh()
        gateway.services.info.note_change()
        await gateway.json("/object_info")
        await settled(gateway)
        assert gateway.agent.asked.count("object_info") == asked + 2

    async def test_models_of_all_workers_are_united(self, start: Start, agent: FakeAgent) -> None:
        gateway = await start(workers=2)
        agent.routes["host-0:object_info"] = definitions("a", "b")
        agent.routes["host-1:object_info"] = definitions("b", "c")
        info = await gateway.services.info.object_info()
        found = info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
        assert found == ["a", "b", "c"]

    async def test_the_last_good_ones_stay_while_no_worker_is_there(self, gateway: Gateway) -> None:
        before = await gateway.json("/object_info")
        await report(gateway, [worker("host-0", "host-gpu", state=WorkerState.DOWN)])
        await gateway.services.agents.refresh()
        gateway.services.info.note_change()
        assert await gateway.json("/object_info") == before
        await settled(gateway)
        assert await gateway.json("/object_info") == before

    async def test_before_any_worker_has_told_it_is_a_503_that_says_so(self, start: Start) -> None:
        gateway = await start(workers=0)
        answer = await gateway.client.get("/object_info", headers=ANN)
        assert answer.status == 503
        assert "Retry-After" in answer.headers
        assert await gateway.services.info.object_info() == {}

    async def test_a_worker_that_could_not_tell_at_first_is_asked_again(
        self, start: Start, agent: FakeAgent
    ) -> None:
        agent.routes["object_info"] = asyncio.Event()
        agent.routes["object_info"].set()  # a 404 while it loads its packs
        gateway = await start()
        assert (await gateway.client.get("/object_info", headers=ANN)).status == 503
        agent.routes["object_info"] = definitions("a.safetensors")
        assert set(await gateway.json("/object_info")) == set(definitions())

    async def test_an_unknown_class_is_an_empty_object(self, gateway: Gateway) -> None:
        assert await gateway.json("/object_info/NoSuch") == {}
        assert set(await gateway.json("/object_info/SaveImage")) == {"SaveImage"}


async def report(gateway: Gateway, workers: list[Any]) -> None:
    await gateway.ledger.report(
        Report(
            agent=Agent(id="host", url=gateway.agent.url, version="1", heartbeat_ms=0),
            workers=workers,
            gpus=[gpu("host-gpu", "host")],
        )
    )


async def settled(gateway: Gateway) -> None:
    """Wait for the fetch that a request started behind its answer."""
    fetching = gateway.services.info._fetching
    assert fetching is not None
    await asyncio.wait({fetching}, timeout=30)


class TestSystemStats:
    async def test_versions_are_the_workers_and_devices_the_pools(self, gateway: Gateway) -> None:
        found = await gateway.json("/system_stats")
        assert found["system"]["comfyui_version"] == "0.3.64"
        assert found["system"]["argv"] == []
        (device,) = found["devices"]
        assert device["type"] == "cuda"
        assert device["vram_total"] == 24 * 2**30
        assert device["vram_free"] == 21 * 2**30
        assert "/srv/secret" not in json.dumps(found)

    async def test_it_answers_without_any_worker(self, start: Start) -> None:
        gateway = await start(workers=0)
        found = await gateway.json("/system_stats")
        assert isinstance(found["system"]["comfyui_version"], str)


class TestLists:
    async def test_models_and_embeddings_come_from_workers(self, gateway: Gateway) -> None:
        gateway.agent.routes |= {
            "models": ["checkpoints", "loras"],
            "models/checkpoints": ["a.safetensors"],
            "embeddings": ["e"],
        }
        assert await gateway.json("/models") == ["checkpoints", "loras"]
        assert await gateway.json("/api/models/checkpoints") == ["a.safetensors"]
        assert await gateway.json("/embeddings") == ["e"]
        for folder in ("nope", "..", "%2e%2e", "a%2Fb", "x" * 65):
            assert await gateway.raw(f"/models/{folder}") == (404, b""), folder
        assert not [path for path in gateway.agent.asked if ".." in path or "%2F" in path]

    async def test_what_no_worker_was_there_to_tell_is_asked_for_again(
        self, gateway: Gateway
    ) -> None:
        gateway.agent.routes |= {"models": ["checkpoints"], "models/checkpoints": ["a"]}
        await report(gateway, [worker("host-0", "host-gpu", state=WorkerState.DOWN)])
        await gateway.services.agents.refresh()
        assert await gateway.json("/models") == []
        assert await gateway.raw("/models/checkpoints") == (404, b"")
        await report(gateway, [worker("host-0", "host-gpu")])
        await gateway.services.agents.refresh()
        assert await gateway.json("/models") == ["checkpoints"]
        assert await gateway.json("/models/checkpoints") == ["a"]

    async def test_the_only_worker_answers_while_it_gives_memory_back(
        self, gateway: Gateway
    ) -> None:
        gateway.agent.routes |= {"models": ["checkpoints"]}
        assert await gateway.ledger.release(None, "host-0")
        await gateway.services.agents.refresh()
        assert await gateway.json("/models") == ["checkpoints"]
        assert (await gateway.client.get("/readyz")).status == 200

    async def test_host_paths_of_models_stay_on_hosts(self, gateway: Gateway) -> None:
        gateway.agent.routes |= {
            "experiment/models": [{"name": "loras", "folders": ["/srv/x/loras", "/srv/y"]}],
            "experiment/models/loras": [{"name": "l", "pathIndex": 0, "size": 1}],
        }
        assert await gateway.json("/experiment/models") == [
            {"name": "loras", "folders": ["loras", "loras"]}
        ]
        assert await gateway.json("/experiment/models/loras") == [
            {"name": "l", "pathIndex": 0, "size": 1}
        ]
        assert await gateway.json("/internal/folder_paths") == {}

    async def test_a_models_own_description_is_passed_on(self, gateway: Gateway) -> None:
        gateway.agent.routes["view_metadata/checkpoints"] = {"a": "b"}
        path = "/view_metadata/checkpoints?filename=a.safetensors"
        assert await gateway.json(path) == {"a": "b"}
        for missing in ("/view_metadata/loras?filename=x", "/view_metadata/checkpoints"):
            assert (await gateway.client.get(missing, headers=ANN)).status == 404

    async def test_a_silent_worker_does_not_hide_anothers_model(
        self, start: Start, agent: FakeAgent
    ) -> None:
        gateway = await start(workers=2)
        agent.routes |= {
            "host-0:view_metadata/loras": web.HTTPBadGateway(),
            "host-1:view_metadata/loras": {"a": "b"},
        }
        assert await gateway.json("/view_metadata/loras?filename=a.safetensors") == {"a": "b"}

    async def test_small_ones_have_their_defaults(self, gateway: Gateway) -> None:
        assert await gateway.json("/i18n") == {}
        assert await gateway.json("/workflow_templates") == {}
        assert await gateway.json("/features") == {
            "supports_preview_metadata": True,
            "max_upload_size": 100 * 2**20,
            "assets": False,
        }


class TestOwnAnswers:
    async def test_the_log_of_somebody_who_has_run_nothing_is_empty(self, gateway: Gateway) -> None:
        assert await gateway.json("/internal/logs") == ""
        raw = await gateway.json("/internal/logs/raw")
        assert raw == {"entries": [], "size": {"cols": 80, "rows": 24}}
        answer = await gateway.client.patch(
            "/internal/logs/subscribe", json={"clientId": "c", "enabled": True}, headers=ANN
        )
        assert (answer.status, await answer.read()) == (200, b"")
        assert (await gateway.client.get("/api/internal/logs", headers=ANN)).status == 404

    async def test_freeing_memory_is_a_hint_that_reaches_no_worker(self, gateway: Gateway) -> None:
        for body in (b"", b"{}", b'{"unload_models":true}'):
            answer = await gateway.client.post("/free", data=body, headers=ANN)
            assert (answer.status, await answer.read()) == (200, b"")
        assert "free" not in gateway.agent.asked

    async def test_the_users_files_are_listed_newest_first(self, gateway: Gateway) -> None:
        await upload(gateway, name="first.png")
        await upload(gateway, name="second.png")
        assert await gateway.json("/internal/files/input") == ["second.png", "first.png"]
        assert await gateway.json("/internal/files/input", BOB) == []
        answer = await gateway.client.get("/internal/files/weird", headers=ANN)
        assert answer.status == 400
        assert await answer.json() == {"error": "Invalid directory type"}


class TestSight:
    async def test_a_user_sees_the_models_of_the_workers_it_may_use(self, start: Start) -> None:
        users = [{**user, "workers": ["host-1"]} if user["name"] == "bob" else user
                 for user in KEYS["users"]]  # fmt: skip
        gateway = await start({**KEYS, "users": users}, workers=2)
        gateway.agent.routes["host-1:object_info"] = definitions("b.safetensors")
        for who, names in ((ANN, ["a.safetensors", "b.safetensors"]), (BOB, ["b.safetensors"])):
            for path in ("/object_info", "/object_info/CheckpointLoaderSimple"):
                node = (await gateway.json(path, who))["CheckpointLoaderSimple"]
                assert node["input"]["required"]["ckpt_name"][0] == names

    async def test_denied_classes_are_not_listed_and_the_tag_tells_them_apart(
        self, start: Start
    ) -> None:
        deny = [{"classes": ["Checkpoint*"], "roles": ["artist"]}]
        gateway = await start({**KEYS, "nodes": {"deny": deny}})
        assert set(await gateway.json("/object_info")) == {"LoadImage", "SaveImage"}
        assert await gateway.json("/object_info/CheckpointLoaderSimple") == {}
        admin = as_user("ada")
        assert "CheckpointLoaderSimple" in await gateway.json("/object_info", admin)
        assert await etag_of(gateway) != await etag_of(gateway, admin)
        gateway.config[0] = Settings.model_validate(KEYS)
        assert "CheckpointLoaderSimple" in await gateway.json("/object_info")

    async def test_a_worker_that_offers_something_else_is_asked_again_at_once(
        self, gateway: Gateway
    ) -> None:
        await gateway.json("/object_info")
        gateway.agent.routes["object_info"] = definitions("new.safetensors")
        await gateway.report([worker("host-0", "host-gpu", catalogue="another")])
        async with asyncio.timeout(30):
            while True:
                node = (await gateway.json("/object_info"))["CheckpointLoaderSimple"]
                if node["input"]["required"]["ckpt_name"][0] == ["new.safetensors"]:
                    return
                await asyncio.sleep(0.01)


class TestFree:
    async def free(self, gateway: Gateway, who: dict[str, str], data: Any = None) -> None:
        data = {"unload_models": True} if data is None else data
        for path in ("/free", "/api/free"):
            answer = await gateway.client.post(path, json=data, headers=who)
            assert (answer.status, await answer.read()) == (200, b"")

    async def states(self, gateway: Gateway) -> list[WorkerState]:
        pool = await gateway.ledger.pool()
        return [pool.workers[name].state for name in sorted(pool.workers)]

    async def test_for_most_it_is_a_hint(self, gateway: Gateway) -> None:
        await self.free(gateway, ANN)
        assert await self.states(gateway) == [WorkerState.READY]

    async def test_an_admin_frees_idle_workers_and_no_other(self, start: Start) -> None:
        gateway = await start(workers=2)
        await run(gateway, "bob", "host-0")
        await gateway.services.agents.refresh()
        await self.free(gateway, as_user("ada"), {"unload_models": False, "free_memory": False})
        assert await self.states(gateway) == [WorkerState.READY, WorkerState.READY]
        await self.free(gateway, as_user("ada"))
        assert await self.states(gateway) == [WorkerState.READY, WorkerState.RELEASING]

    async def test_a_body_that_asks_for_nothing_does_nothing(self, gateway: Gateway) -> None:
        for data in (b"", b"{", b"[1]", b"null"):
            answer = await gateway.client.post("/free", data=data, headers=as_user("ada"))
            assert answer.status == 200
        assert await self.states(gateway) == [WorkerState.READY]
