"""Who may read ``/metrics``: admins, and whoever shows the metrics token."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from gateway.keys import hash_key
from gateway.request_metrics import RequestMetrics
from tests.integration.gateway_info.conftest import KEYS, Gateway, Start, as_user
from tests.integration.gateway_info.conftest import agent as agent
from tests.integration.gateway_info.conftest import start as start
from tests.isolation.kept import Pages
from tests.isolation.kept import pages as pages

TOKEN = "a-token-for-scrapers"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status(gateway: Gateway, path: str, headers: dict[str, str]) -> int:
    answer = await gateway.client.get(path, headers=headers)
    return answer.status


@pytest.mark.parametrize("form", ["token", "token_hash", "token_file"])
async def test_the_token_opens_this_door_and_no_other(
    start: Start, pages: Pages, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    value = {"token": TOKEN, "token_hash": hash_key(TOKEN), "token_file": str(file)}[form]
    settings: dict[str, Any] = {**KEYS, "metrics": {form: value}}
    gateway = await start(settings, extra=pages)
    assert await status(gateway, "/metrics", bearer(TOKEN)) == 200
    basic = base64.b64encode(f"prometheus:{TOKEN}".encode()).decode()
    assert await status(gateway, "/metrics", {"Authorization": f"Basic {basic}"}) == 200
    for path in ("/queue", "/metrics/", "/dashboard/api/v1/overview", "/openapi.json", "/prompt"):
        assert await status(gateway, path, bearer(TOKEN)) == 401, path
    posted = await gateway.client.post("/metrics", headers=bearer(TOKEN))
    assert posted.status in (403, 405)


async def test_admins_may_read_and_nobody_else(start: Start, pages: Pages) -> None:
    gateway = await start({**KEYS, "metrics": {"token": TOKEN}}, extra=pages)
    assert await status(gateway, "/metrics", as_user("ada")) == 200
    for name in ("ann", "vic"):
        assert await status(gateway, "/metrics", as_user(name)) == 403
    assert await status(gateway, "/metrics", {}) == 401
    for wrong in (TOKEN[:-1], TOKEN + "x", hash_key(TOKEN)):
        assert await status(gateway, "/metrics", bearer(wrong)) == 401


async def test_without_a_token_only_admins_may(start: Start, pages: Pages) -> None:
    gateway = await start(KEYS, extra=pages)
    assert await status(gateway, "/metrics", bearer("")) == 401
    assert await status(gateway, "/metrics", as_user("ada")) == 200


async def test_a_token_that_changes_in_its_file_is_the_new_one(
    start: Start, pages: Pages, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    gateway = await start({**KEYS, "metrics": {"token_file": str(file)}}, extra=pages)
    assert await status(gateway, "/metrics", bearer(TOKEN)) == 200
    file.write_text("another-token-for-scrapers")
    assert await status(gateway, "/metrics", bearer(TOKEN)) == 401
    file.unlink()
    assert await status(gateway, "/metrics", bearer("another-token-for-scrapers")) == 401


async def test_requests_of_a_personal_url_count_once_and_tell_no_key(
    start: Start, pages: Pages
) -> None:
    requests = RequestMetrics()
    gateway = await start(KEYS, extra=pages, requests=requests)
    await gateway.client.get("/k/url-of-ann-01/queue")
    async with gateway.client.ws_connect("/k/url-of-ann-01/ws?clientId=a"):
        told = generate_latest(requests.registry).decode()
        assert "vramgate_client_sockets 1.0" in told
    assert 'vramgate_http_requests_total{code="200",method="GET",route="/queue"} 1.0' in told
    assert "url-of-ann" not in told
    assert 'route="/{path}"' not in told
