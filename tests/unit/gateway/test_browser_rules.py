from __future__ import annotations

import pytest
from multidict import CIMultiDict

from gateway.browser_rules import (
    host_allowed,
    is_foreign,
    is_navigation,
    local_path,
    refuses,
)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Host": "gate:8288", "Origin": "http://gate:8288"}, False),
        ({"Host": "GATE:8288", "Origin": "http://gate:8288"}, False),
        ({"Host": "gate", "Origin": "https://gate"}, False),
        ({"Host": "gate", "Origin": "http://gate:80"}, False),
        ({"Host": "[::1]:8288", "Origin": "http://[::1]:8288"}, False),
        ({"Host": "gate:8288", "Origin": "http://gate:9999"}, True),
        ({"Host": "gate:8288", "Origin": "http://evil:8288"}, True),
        ({"Host": "gate", "Origin": "null"}, True),
        ({"Host": "gate", "Origin": "http://gate.evil.example"}, True),
        ({"Host": "gate", "Origin": "http://gate:99999"}, True),
        ({"Host": "inner:8288", "Origin": "https://studio.example"}, True),
        ({"Host": "inner:8288", "Origin": "https://proxy.example"}, False),
        ({"Host": "gate", "Origin": "http://gate", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Host": "gate", "Origin": "null", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Host": "a.gate", "Origin": "http://b.gate", "Sec-Fetch-Site": "same-site"}, True),
        ({"Host": "gate", "Sec-Fetch-Site": "none"}, False),
    ],
)
def test_another_sites_page_is_told_by_its_headers(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(CIMultiDict(headers), headers.get("Host", ""), ("proxy.example",)) is foreign


def test_reading_is_free_but_changing_and_sockets_are_not() -> None:
    evil = CIMultiDict({"Host": "gate", "Origin": "http://evil"})
    assert not refuses("GET", evil, "gate", ())
    assert not refuses("HEAD", evil, "gate", ())
    for method in ("POST", "DELETE", "PATCH", "PUT"):
        assert refuses(method, evil, "gate", ())
    socket = CIMultiDict({**evil, "Upgrade": "WebSocket"})
    assert refuses("GET", socket, "gate", ())
    own = CIMultiDict({"Host": "gate", "Origin": "http://gate", "Upgrade": "websocket"})
    assert not refuses("GET", own, "gate", ())


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("127.0.0.1:8288", True),
        ("localhost", True),
        ("a.localhost:1", True),
        ("[::1]:8288", True),
        ("10.0.0.5:8288", True),
        ("Studio.Example.", True),
        ("studio.example:443", True),
        ("rebound.evil.example", False),
        ("10.0.0.6", False),
        ("", False),
        ("studio.example.evil", False),
        ("[", False),
    ],
)
def test_only_our_own_host_names_are_answered(host: str, good: bool) -> None:
    found = host_allowed(host, listening="10.0.0.5", allowed=("studio.example",), any_host=False)
    assert found is good


def test_with_keys_and_no_list_any_name_is_good_and_a_list_still_binds() -> None:
    assert host_allowed("whatever", listening="0.0.0.0", allowed=(), any_host=True)
    assert not host_allowed("whatever", listening="0.0.0.0", allowed=("gate",), any_host=True)


@pytest.mark.parametrize(
    ("headers", "page"),
    [
        ({"Accept": "text/html,*/*"}, True),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, False),
        ({"Accept": "*/*"}, False),
        ({}, False),
        ({"Accept": "text/html", "Upgrade": "websocket"}, False),
    ],
)
def test_a_page_load_is_told_from_a_programs_request(headers: dict[str, str], page: bool) -> None:
    assert is_navigation("GET", CIMultiDict(headers)) is page
    assert not is_navigation("POST", CIMultiDict(headers))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a?b=c#d", "/a?b=c#d"),
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/evil.example"),
        ("///evil", "/evil"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
    ],
)
def test_a_redirect_never_leaves_the_site(target: str, path: str) -> None:
    assert local_path(target) == path
