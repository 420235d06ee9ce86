from __future__ import annotations

import json
from typing import Any

import pytest
import structlog.testing
from aiohttp import web

from gateway.announce import address
from scheduler.ledger import LedgerUnavailable
from scheduler.states import WorkerState
from tests.factories import worker
from tests.integration.gateway_info.conftest import ANN, KEYS, Gateway, Start
from tests.integration.gateway_info.test_info import report


@pytest.mark.parametrize("path", ["/prompt", "/nosuch", "/api/view", "/k/x/y"])
async def test_options_is_answered_empty_everywhere(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.options(path)
    assert (answer.status, await answer.read()) == (200, b"")
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_body_over_the_limit_is_refused_before_it_is_sent(start: Start) -> None:
    gateway = await start({**KEYS, "gateway": {"max_body": 1000}})
    for path in ("/settings", "/userdata/a.json", "/prompt"):
        answer = await gateway.client.post(path, data=b"x" * 1001, headers=ANN)
        assert answer.status == 413, path
        body = await answer.json()
        assert body["error"]["type"] == "too_large"
        assert body["node_errors"] == {}


async def test_nor_can_it_be_hidden_by_not_telling_its_size(start: Start) -> None:
    gateway = await start({**KEYS, "gateway": {"max_body": 1000}})

    async def untold() -> Any:
        for _ in range(3):
            yield b"x" * 500

    answer = await gateway.client.post("/userdata/a.json", data=untold(), headers=ANN)
    assert answer.status == 413
    assert (await answer.json())["error"]["type"] == "too_large"


async def test_a_method_that_a_route_lacks_is_told_as_comfyui_tells_it(gateway: Gateway) -> None:
    answer = await gateway.client.delete("/settings", headers=ANN)
    assert (answer.status, await answer.read()) == (405, b"405: Method Not Allowed")


def failing(error: Exception) -> dict[str, web.Application]:
    async def fail(request: web.Request) -> web.Response:
        secret = "prompt-text-in-a-local"
        assert secret
        raise error

    extra = web.Application()
    extra.router.add_get("/x", fail)
    return {"/fail": extra}


async def test_what_nobody_expected_is_a_500_with_an_id_that_the_log_explains(start: Start) -> None:
    gateway = await start(extra=failing(RuntimeError("/srv/secret broke")))
    with structlog.testing.capture_logs() as logs:
        answer = await gateway.client.get("/k/url-of-ann-01/fail/x")
    assert answer.status == 500
    text = await answer.text()
    assert "secret" not in text
    assert "Traceback" not in text
    (line,) = [log for log in logs if log["event"] == "request_failed"]
    assert json.loads(text)["error"]["extra_info"]["request_id"] == line["request"]
    assert "/srv/secret broke" in line["traceback"]
    assert "url-of-ann" not in repr(logs)
    assert "exc_info" not in line


async def test_a_ledger_that_is_away_is_a_503_to_try_again(start: Start) -> None:
    gateway = await start(extra=failing(LedgerUnavailable("x")))
    answer = await gateway.client.get("/fail/x", headers=ANN)
    assert answer.status == 503
    assert "Retry-After" in answer.headers
    assert (await answer.json())["error"]["type"] == "unavailable"


class TestHealth:
    async def test_alive_is_always_and_ready_needs_a_worker(self, gateway: Gateway) -> None:
        async def ready() -> tuple[int, str]:
            answer = await gateway.client.get("/readyz")
            return answer.status, await answer.text()

        assert (await gateway.client.get("/healthz")).status == 200
        assert (await ready())[0] == 200
        await report(gateway, [worker("host-0", "host-gpu", state=WorkerState.DOWN)])
        assert await ready() == (503, "no worker is ready")
        await report(gateway, [])
        assert (await ready())[0] == 503
        assert (await gateway.client.get("/healthz")).status == 200


async def test_the_gateway_tells_agents_where_it_is(gateway: Gateway) -> None:
    settings = gateway.services.settings()
    assert address(settings, 81) == "http://127.0.0.1:81"


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_routes_of_newer_servers_are_empty_where_no_worker_knows_them(
    gateway: Gateway, prefix: str
) -> None:
    assert await gateway.json(f"{prefix}/global_subgraphs") == {}
    assert await gateway.json(f"{prefix}/global_subgraphs/ab12") is None
    assert await gateway.json(f"{prefix}/node_replacements") == {}


async def test_routes_of_newer_servers_come_from_a_worker_that_knows_them(
    gateway: Gateway,
) -> None:
    entry = {"source": "custom_node", "name": "x", "info": {"node_pack": "custom_nodes.p"}}
    gateway.agent.routes |= {
        "global_subgraphs": {"ab12": entry},
        "global_subgraphs/ab12": {**entry, "data": "{}"},
        "node_replacements": {"Old": []},
    }
    assert await gateway.json("/global_subgraphs") == {"ab12": entry}
    assert (await gateway.json("/global_subgraphs/ab12"))["data"] == "{}"
    assert await gateway.json("/global_subgraphs/..%2Fab12") is None
    assert await gateway.json("/node_replacements") == {"Old": []}


async def test_below_internal_nothing_is_looked_for_in_the_page(gateway: Gateway) -> None:
    for path in ("/internal", "/internal/nope", "/internal/logs/nope"):
        answer = await gateway.client.get(path, headers=ANN)
        assert (answer.status, await answer.text()) == (404, "404: Not Found")
    answer = await gateway.client.get("/internal/logs/subscribe", headers=ANN)
    assert (answer.status, answer.headers["Allow"]) == (405, "PATCH")
