"""What admins see and do of other people's is in the audit log; what they do of their own is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.gateway_info.conftest import Start
from tests.integration.gateway_info.conftest import agent as agent
from tests.integration.gateway_info.conftest import start as start
from tests.isolation.estate import SETTINGS, Estate, headers, settle
from tests.isolation.kept import KEPT, Pages
from tests.isolation.kept import pages as pages

API = "/dashboard/api/v1"


@pytest.fixture
async def estate(start: Start, pages: Pages) -> Estate:
    return await settle(await start(SETTINGS, workers=2, extra=pages))


async def entries(estate: Estate) -> list[tuple[str, str, str, str]]:
    answer = await estate.gateway.client.get(f"{API}/audit", headers=headers("ada"))
    found: list[dict[str, Any]] = (await answer.json())["entries"]
    return sorted((one["by"], one["action"], one["subject"], one["user"]) for one in found)


async def ask(estate: Estate, actor: str, path: str, method: str = "GET") -> None:
    answer = await estate.gateway.client.request(method, f"{API}/{path}", headers=headers(actor))
    assert answer.status == 200, (path, await answer.text())


async def test_an_admin_who_looks_at_an_artists_job_or_page_leaves_one_entry_each(
    estate: Estate,
) -> None:
    for _ in range(2):
        await ask(estate, "ada", f"jobs/{KEPT}")
        await ask(estate, "ada", "jobs?user=ann")
        await ask(estate, "ada", "users/usage?user=ann")
    await ask(estate, "ann", f"jobs/{KEPT}")
    await ask(estate, "ada", "jobs?user=ada")
    await ask(estate, "ada", "overview")
    assert await entries(estate) == [
        ("ada", "view", f"job:{KEPT}", "ann"),
        ("ada", "view", "user:ann", "ann"),
    ]


async def test_what_an_admin_does_to_an_artists_job_is_an_entry_each_time(estate: Estate) -> None:
    for action in ("hold", "unhold"):
        await ask(estate, "ada", f"jobs/{estate.queued}/{action}?user=ann", "POST")
    await ask(estate, "ann", f"jobs/{estate.queued}/hold", "POST")
    found = [one for one in await entries(estate) if one[1] in ("hold", "unhold")]
    assert [(by, action, user) for by, action, _, user in found] == [
        ("ada", "hold", "ann"),
        ("ada", "unhold", "ann"),
    ]


async def test_an_artist_leaves_none_and_reads_none(estate: Estate) -> None:
    await ask(estate, "bob", "jobs")
    answer = await estate.gateway.client.get(f"{API}/jobs?user=ann", headers=headers("bob"))
    assert answer.status == 403
    answer = await estate.gateway.client.get(f"{API}/audit", headers=headers("bob"))
    assert answer.status == 403
    assert await entries(estate) == []
