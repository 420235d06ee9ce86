"""What all resources share: spans, pages, roles, validators."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from config.settings import Role
from dashboard.api.asking import (
    DEFAULT_SPAN_MS,
    NO_STORE,
    Asker,
    Page,
    Refused,
    Span,
    answer,
    choice,
    number,
    page,
    refusing,
    span,
)

NOW_S = 1_800_000_000.25
NOW_MS = 1_800_000_000_250


def asked(path: str, **headers: str) -> web.Request:
    return make_mocked_request("GET", path, headers=headers)


def test_without_a_time_the_last_day_is_meant() -> None:
    assert span(asked("/"), lambda: NOW_S) == Span(NOW_MS - DEFAULT_SPAN_MS, NOW_MS)
    assert span(asked("/?until=1000"), lambda: NOW_S) == Span(0, 1000)
    assert span(asked("/?from=5&until=1000"), lambda: NOW_S) == Span(5, 1000)


@pytest.mark.parametrize(
    "query",
    ["from=7&until=7", "from=8&until=7", "from=-1", "from=1e3", "until=x", "until=99999999999999",
     "from=%20%31", "from=1_0", "until=٣", "from=0", "until="],
)  # fmt: skip
def test_a_time_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(Refused) as refused:
        span(asked(f"/?{query}"), lambda: NOW_S)
    assert refused.value.status == 400


def test_pages_have_bounds() -> None:
    assert page(asked("/?start=200&rows=50")) == Page(200, 50)
    for query in ("rows=0", "rows=1001", "start=x"):
        with pytest.raises(Refused):
            page(asked(f"/?{query}"))
    assert number(asked("/"), "n", 3) == 3


def test_a_choice_that_is_none_names_those_there_are() -> None:
    assert choice(asked("/?by=user"), "by", ("user", "group"), "group") == "user"
    with pytest.raises(Refused, match="user, group"):
        choice(asked("/?by=cat"), "by", ("user", "group"), "group")


def test_only_admins_ask_for_others() -> None:
    ann, ada = Asker("ann", Role.ARTIST), Asker("ada", Role.ADMIN)
    assert ann.only() == ann.only("ann") == "ann"
    assert (ada.only(), ada.only("ann")) == (None, "ann")
    for role in (Role.ARTIST, Role.VIEWER):
        with pytest.raises(Refused) as refused:
            Asker("ann", role).only("bob")
        assert refused.value.status == 403


def test_who_has_an_answer_already_gets_none() -> None:
    first = answer(asked("/"), {"a": 1})
    tag = first.headers["ETag"]
    assert (first.status, first.body) == (200, b'{"a":1}')
    again = answer(asked("/", **{"If-None-Match": tag}), {"a": 1})
    assert (again.status, again.body, again.headers["ETag"]) == (304, None, tag)
    assert answer(asked("/", **{"If-None-Match": tag}), {"a": 2}).status == 200
    assert "private" in first.headers["Cache-Control"]


async def test_a_store_that_is_away_is_told_without_its_own_words() -> None:
    async def away(_request: web.Request) -> web.StreamResponse:
        raise OSError("secret path")

    told = await refusing(away)(asked("/"))
    assert isinstance(told, web.Response)
    assert told.body is not None
    assert (told.status, json.loads(bytes(told.body))) == (503, {"error": NO_STORE})
