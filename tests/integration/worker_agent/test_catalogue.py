"""An agent tells what its workers offer, and passes routes of node packs on."""

from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from scheduler.catalogue import Catalogue, describe
from tests.integration.worker_agent.bed import TOKEN, Bed
from tests.integration.worker_agent.fake_worker import OBJECT_INFO

GUARD = {"Authorization": f"Bearer {TOKEN}"}


async def test_a_ready_worker_has_a_catalogue_that_everybody_can_read(bed: Bed) -> None:
    digest, document = describe(OBJECT_INFO)
    pool = await bed.ledger.pool()
    assert pool.workers["host-0"].catalogue == digest
    assert await bed.ledger.catalogues([digest]) == {digest: Catalogue(document)}


async def ask(bed: Bed, path: str, method: str = "POST", **options: object) -> tuple[int, bytes]:
    url = URL(f"{bed.agent.url}/v1/workers/host-0/pack/{path}", encoded=True)
    async with (
        aiohttp.ClientSession(headers=GUARD) as http,
        http.request(method, url, **options) as answer,  # type: ignore[arg-type]
    ):
        return answer.status, await answer.read()


async def test_a_route_of_a_pack_gets_method_query_and_body(bed: Bed) -> None:
    status, body = await ask(
        bed, "pack/echo%2Fx?a=1", data=b"hello", headers={"Cookie": "x=1", "X-Other": "1"}
    )
    assert status == 200
    assert body == b'{"path": "/pack/echo%2Fx?a=1", "body": "hello", "cookie": null, "other": null}'


@pytest.mark.parametrize(
    "path",
    ["prompt", "api/prompt", "interrupt", "%70rompt", "pack/../prompt", "pack/%2e%2e/prompt",
     "userdata/x", "internal/logs", "free", "ws", "view", ""],
)  # fmt: skip
async def test_comfyuis_own_routes_are_out_of_reach(bed: Bed, path: str) -> None:
    assert (await ask(bed, path, data=b"{}"))[0] in (403, 404)


async def test_without_the_clusters_token_nothing_is(bed: Bed) -> None:
    url = f"{bed.agent.url}/v1/workers/host-0/pack/pack/echo"
    async with aiohttp.ClientSession() as http, http.post(url) as answer:
        assert answer.status == 401
