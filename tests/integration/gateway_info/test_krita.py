"""``/api/etn/*`` as the Krita plugin calls it; what one user sends or makes is nobody else's."""

from __future__ import annotations

from typing import Any

import aiohttp

from gateway.comfy_api.inputs import find_files, named_files
from scheduler.workflow.passed_pictures import PASSED
from tests.integration.gateway_info.conftest import ANN, BOB, VIC, Gateway, png

SKETCH = png((1, 2, 3), (64, 48))
GRAPH = {"1": {"class_type": "ETN_LoadImageCache", "inputs": {"id": "sketch-1"}}}


async def send(
    gateway: Gateway, body: bytes = SKETCH, picture: str = "sketch-1", who: dict[str, str] = ANN
) -> int:
    path = f"/api/etn/image/{picture}"
    answer = await gateway.client.put(path, data=body, headers=who)
    return answer.status


async def get(gateway: Gateway, picture: str, who: dict[str, str] = ANN) -> tuple[int, bytes]:
    answer = await gateway.client.get(f"/api/etn/image/{picture}", headers=who)
    return answer.status, await answer.read()


async def post(gateway: Gateway, what: str, body: Any, who: dict[str, str] = ANN) -> int:
    path = f"/api/etn/workflow/{what}"
    answer = await gateway.client.post(path, json=body, headers=who)
    return answer.status


class TestPictures:
    async def test_one_that_was_sent_is_there_once_and_pinned_to_prompts_that_read_it(
        self, gateway: Gateway
    ) -> None:
        assert await send(gateway) == 201
        assert await send(gateway) == 200
        assert await get(gateway, "sketch-1") == (200, SKETCH)
        files = await find_files(gateway.services, "ann", named_files(GRAPH, {}))
        assert files[PASSED, "sketch-1"].path == f"sketch-1 [{PASSED}]"

    async def test_of_another_user_it_is_neither_shown_nor_read(self, gateway: Gateway) -> None:
        await send(gateway)
        assert (await get(gateway, "sketch-1", BOB))[0] == 404
        assert await find_files(gateway.services, "bob", named_files(GRAPH, {})) == {}
        assert await send(gateway, png((9, 9, 9)), who=BOB) == 201
        assert await get(gateway, "sketch-1") == (200, SKETCH)

    async def test_one_that_a_node_left_comes_from_its_worker_for_its_user(
        self, gateway: Gateway
    ) -> None:
        gateway.agent.files[PASSED, "", "0123abc"] = SKETCH
        await gateway.ledger.name_files("ann", "host", "host-0", [(PASSED, "", "0123abc")])
        assert await get(gateway, "0123abc") == (200, SKETCH)
        assert (await get(gateway, "0123abc", BOB))[0] == 404

    async def test_ids_that_are_paths_are_refused(self, gateway: Gateway) -> None:
        for bad in ("a%2Fb", "..%2f..%2fqueue", "a.b", "%00", "x" * 129):
            status, _ = await gateway.raw(f"/api/etn/image/{bad}")
            assert status == 400, bad
        assert gateway.agent.asked == []

    async def test_viewers_send_none(self, gateway: Gateway) -> None:
        assert await send(gateway, who=VIC) == 403

    async def test_they_are_in_no_list_of_uploads(self, gateway: Gateway) -> None:
        await send(gateway)
        assert await gateway.json("/internal/files/input") == []


class TestThePack:
    async def test_its_questions_go_to_a_worker_that_has_it(self, gateway: Gateway) -> None:
        gateway.agent.routes["api/etn/languages"] = [{"name": "German", "code": "de"}]
        assert (await gateway.json("/api/etn/languages"))[0]["code"] == "de"
        answer = await gateway.client.get("/api/etn/translate/de/Hund%20am%20See", headers=ANN)
        assert answer.status == 404

    async def test_nothing_else_of_it_does(self, gateway: Gateway) -> None:
        gateway.agent.routes["api/etn/secret"] = {"a": 1}
        for path in ("/api/etn/secret", "/api/%65tn/secret", "/api/etn/model_info/../secret"):
            status, _ = await gateway.raw(path)
            assert status == 404, path


class TestExchange:
    async def test_a_graph_reaches_the_publishers_own_subscribers_now_and_later(
        self, gateway: Gateway
    ) -> None:
        offer = {"name": "tab", "client_id": "browser", "workflow": {"1": {}}}
        async with gateway.client.ws_connect("/ws?clientId=krita", headers=ANN) as socket:
            assert (await socket.receive_json())["type"] == "status"
            assert await post(gateway, "subscribe", {"client_id": "krita"}) == 200
            assert await post(gateway, "publish", offer) == 200
            message = await socket.receive_json()
            assert message["data"]["publisher"] == {"name": "tab", "id": "browser"}
            assert await post(gateway, "subscribe", {"client_id": "krita"}) == 200
            assert (await socket.receive_json())["data"]["workflow"] == {"1": {}}

    async def test_nobody_else_hears_of_it(self, gateway: Gateway) -> None:
        offer = {"name": "tab", "client_id": "browser", "workflow": {"1": {}}}
        async with gateway.client.ws_connect("/ws?clientId=krita", headers=BOB) as socket:
            await socket.receive_json()
            await post(gateway, "subscribe", {"client_id": "krita"}, BOB)
            await post(gateway, "publish", offer)
            await post(gateway, "publish", {**offer, "name": "bobs"}, BOB)
            message = await socket.receive(timeout=30)
            assert message.type is aiohttp.WSMsgType.TEXT
            assert message.json()["data"]["publisher"]["name"] == "bobs"

    async def test_what_lacks_a_part_is_refused(self, gateway: Gateway) -> None:
        assert await post(gateway, "publish", {"client_id": "a", "name": 1}) == 400
        assert await post(gateway, "subscribe", {}) == 400
        assert await post(gateway, "subscribe", {"client_id": "x" * 300}) == 400
        assert await post(gateway, "unsubscribe", {"client_id": "never"}) == 200
