"""The dashboard's API answers alike, whatever is asked: validators, pages, refusals, roles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import ClientResponse

from tests.integration.openapi.conftest import Described
from tests.isolation.estate import headers
from tests.isolation.rows import Try, rows

API = "/dashboard/api/v1/"
#: Times of asking, which make two answers differ that say the same.
MOMENTS = ("now_ms", "seconds", "until_ms")


def tries(described: Described, method: str = "GET") -> Iterator[tuple[str, Try]]:
    """Pattern and an example of each route; sockets left out."""
    for (one, pattern), examples in rows(described.estate).items():
        if one == method and pattern.startswith(API) and examples and not examples[0].socket:
            yield pattern, examples[0]


def operations(described: Described, method: str = "get") -> dict[str, dict[str, Any]]:
    return {
        path: item[method]
        for path, item in described.document["paths"].items()
        if path.startswith(API) and method in item
    }


def parameters(operation: dict[str, Any]) -> set[str]:
    return {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}


async def get(described: Described, path: str, actor: str = "ada", **more: str) -> ClientResponse:
    client = described.estate.gateway.client
    return await client.get(path, headers=headers(actor) | more)


def with_word(path: str, word: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{word}"


async def test_whoever_has_an_answer_already_gets_no_second_one(described: Described) -> None:
    checked = 0
    for pattern, one in tries(described):
        first = await get(described, one.path)
        if first.status != 200 or first.content_type != "application/json":
            continue
        if "Content-Disposition" in first.headers:  # a file, to be kept
            continue
        tag = first.headers.get("ETag")
        assert tag, pattern
        assert "private" in first.headers["Cache-Control"], pattern
        # an admin's own look is part of what some lists show: ask until two are alike
        for _ in range(5):
            again = await get(described, one.path, **{"If-None-Match": tag})
            if again.status == 304:
                assert await again.read() == b""
                assert again.headers["ETag"] == tag
                checked += 1
                break
            tag = again.headers["ETag"]
            assert _without_moments(await again.json()) is not None
    assert checked > 15


def _without_moments(body: Any) -> Any:
    if isinstance(body, dict):
        return {k: _without_moments(v) for k, v in body.items() if k not in MOMENTS}
    return [_without_moments(one) for one in body] if isinstance(body, list) else body


async def test_each_answer_is_one_that_is_described(described: Described) -> None:
    paths = operations(described)
    for pattern, one in tries(described):
        answer = await get(described, one.path)
        assert str(answer.status) in paths[pattern]["responses"], (pattern, answer.status)


async def test_every_list_goes_on_where_a_page_ends(described: Described) -> None:
    """Either by a place (``start=``) or by what the page before named (``before=`` its ``next``)."""
    listed = {path: one for path, one in operations(described).items() if "rows" in parameters(one)}
    assert len(listed) > 3
    for path, operation in listed.items():
        names = parameters(operation)
        assert ("start" in names) != ("before" in names), path
        if "before" in names:
            shape = operation["responses"]["200"]["content"]["application/json"]["schema"]
            name = shape["$ref"].rpartition("/")[2]
            assert "next" in described.document["components"]["schemas"][name]["properties"], path


async def test_a_wrong_word_is_refused_in_one_shape(described: Described) -> None:
    wrong = {
        "rows": ("0", "-1", "x", "100000", "1_0", "٣"),
        "start": ("-1", "x", "1e3"),
        "before": ("x",),
        "from": ("x", "-1", "99999999999999999"),
        "until": ("0", "yesterday"),
    }
    examples = dict(tries(described))
    asked = 0
    for path, operation in operations(described).items():
        for name in parameters(operation) & set(wrong):
            for value in wrong[name]:
                answer = await get(described, with_word(examples[path].path, f"{name}={value}"))
                assert answer.status == 400, (path, name, value, answer.status)
                body = await answer.json()
                assert set(body) == {"error"}, (path, body)
                assert isinstance(body["error"], str)
                assert answer.headers["Cache-Control"] == "no-store"
                asked += 1
    assert asked > 30


async def test_roles_are_the_same_everywhere(described: Described) -> None:
    """What an admin alone may see is refused to all others, in the same words for all."""
    for pattern, one in tries(described):
        refused = {}
        for actor in ("bob", "vic"):
            answer = await get(described, one.path, actor)
            assert answer.status in (200, 400, 403, 404), (pattern, actor, answer.status)
            if answer.content_type == "application/json" and answer.status != 200:
                refused[actor] = await answer.json()
                assert set(refused[actor]) == {"error"}, (pattern, refused)
        if len(refused) == 2:
            assert refused["bob"] == refused["vic"], pattern


async def test_nothing_is_answered_without_a_key(described: Described) -> None:
    client = described.estate.gateway.client
    for method in ("GET", "POST"):
        for pattern, one in tries(described, method):
            answer = await client.request(method, one.path, json=one.json)
            assert answer.status == 401, pattern
            assert "error" in json.loads(await answer.text()), pattern
