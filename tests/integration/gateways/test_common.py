"""Settings and documents are one for all gateways."""

from __future__ import annotations

import asyncio

from tests.integration.gateway_info.conftest import ANN, BOB
from tests.integration.gateways.conftest import Replica

Pair = tuple[Replica, Replica]


async def test_settings_changed_at_both_at_once_lose_nothing(pair: Pair) -> None:
    await asyncio.gather(*(pair[n % 2].post("/settings", {f"s{n}": n}) for n in range(10)))
    wanted = {f"s{n}": n for n in range(10)}
    for replica in pair:
        assert await replica.get("/settings") == wanted


async def test_a_document_is_there_at_the_other_gateway_and_made_once(pair: Pair) -> None:
    path = "/userdata/workflows%2Fone.json"
    answers = await asyncio.gather(
        *(
            pair[n % 2].call("POST", f"{path}?overwrite=false", data=b"%d" % n, headers=ANN)
            for n in range(4)
        )
    )
    statuses = [status for status, _ in answers]
    assert sorted(statuses) == [200, 409, 409, 409]
    for replica in pair:
        assert await replica.get(path) == statuses.index(200)
        assert (await replica.call("GET", path, BOB))[0] == 404
