"""A group that shares outputs and queue: its members see that and nothing more, others nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.gateway_info.conftest import Start
from tests.integration.gateway_info.conftest import agent as agent
from tests.integration.gateway_info.conftest import start as start
from tests.isolation.estate import NAME, SECRET, SETTINGS, Estate, headers, settle
from tests.isolation.kept import Pages
from tests.isolation.kept import pages as pages
from tests.isolation.rows import Try, shared_views
from tests.isolation.test_matrix import faults, nothing

OUTPUTS = {"share_outputs": True}
QUEUE = {"share_queue": True}
#: what shows jobs
LISTS = {
    ("GET", path)
    for path in ("/queue", "/history", "/history/{prompt_id}", "/jobs", "/jobs/{prompt_id}")
}
#: what lists names of outputs
NAMES = {
    ("GET", "/internal/files/{type}"),
    ("GET", "/object_info"),
    ("GET", "/object_info/{node_class}"),
}
MEMBERS = ("mia", "vic")


async def sharing(start: Start, pages: Pages, what: dict[str, bool]) -> Estate:
    settings = {**SETTINGS, "groups": [{"name": "film", **what}]}
    return replace(await settle(await start(settings, workers=2, extra=pages)), shares=True)


def of_outputs(row: tuple[str, str], one: Try) -> bool:
    return row in NAMES or one.path in shared_views()


def of_queue(row: tuple[str, str], one: Try) -> bool:
    return row in LISTS


@pytest.mark.parametrize("actor", ["bob", "anonymous"])
async def test_another_group_sees_nothing_of_what_is_shared(
    start: Start, pages: Pages, actor: str
) -> None:
    estate = await sharing(start, pages, OUTPUTS | QUEUE)
    assert await faults(estate, actor, nothing) == []


@pytest.mark.parametrize("actor", MEMBERS)
async def test_members_see_outputs_where_those_are_shared_and_change_nothing(
    start: Start, pages: Pages, actor: str
) -> None:
    estate = await sharing(start, pages, OUTPUTS)
    assert await faults(estate, actor, of_outputs) == []


@pytest.mark.parametrize("actor", MEMBERS)
async def test_members_see_jobs_where_those_are_shared_and_change_nothing(
    start: Start, pages: Pages, actor: str
) -> None:
    estate = await sharing(start, pages, QUEUE)
    assert await faults(estate, actor, of_queue) == []


@pytest.mark.parametrize("actor", MEMBERS)
async def test_members_reach_a_shared_output_by_every_spelling(
    start: Start, pages: Pages, actor: str
) -> None:
    estate = await sharing(start, pages, OUTPUTS)
    for path in shared_views():
        answer = await estate.gateway.client.get(path, headers=headers(actor))
        assert answer.status == 200, path
        assert SECRET.encode() in await answer.read()


@pytest.mark.parametrize("what", [QUEUE, QUEUE | OUTPUTS])
@pytest.mark.parametrize("actor", MEMBERS)
async def test_shared_jobs_hide_client_ids_texts_and_files_that_are_not_shared(
    start: Start, pages: Pages, actor: str, what: dict[str, bool]
) -> None:
    estate = await sharing(start, pages, what)
    for path in (
        "/queue",
        "/history",
        f"/history/{estate.ended}",
        "/api/jobs",
        f"/api/jobs/{estate.ended}",
    ):
        answer = await estate.gateway.client.get(path, headers=headers(actor))
        body = await answer.json()
        text = json.dumps(body)
        assert estate.ended in text or estate.queued in text, path
        assert "tab-of-ann" not in text
        assert list(texts(body)) == [], path
        assert ('"@ann"' in text) == ("share_outputs" in what and path != "/queue"), path


def texts(value: Any) -> Any:
    """What nodes have said in words, anywhere in an answer."""
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == "text")
    for child in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from texts(child)


async def test_whoever_leaves_the_group_loses_sight_at_once(start: Start, pages: Pages) -> None:
    estate = await sharing(start, pages, OUTPUTS | QUEUE)
    client, config = estate.gateway.client, estate.gateway.config
    paths = (
        *shared_views(),
        "/queue",
        "/history",
        "/api/jobs",
        "/internal/files/output",
        f"/history/{estate.ended}",
    )

    async def seen() -> list[str]:
        answers = [(path, await client.get(path, headers=headers("mia"))) for path in paths]
        return [
            path
            for path, answer in answers
            if (NAME.encode() in await answer.read() or "/view" in path) and answer.status == 200
        ]

    assert await seen() == list(paths)
    users = tuple(
        user.model_copy(update={"group": "games"}) if user.name == "mia" else user
        for user in config[0].users
    )
    config[0] = config[0].model_copy(update={"users": users})
    assert await seen() == []
