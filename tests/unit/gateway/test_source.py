from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.source import client_of, parse_address, within

TRUSTED = ("127.0.0.1/32", "10.9.0.0/16", "::1/128")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        (" 10.0.0.1:8080 ", "10.0.0.1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("10.0.0.1.evil.example", None),
    ],
)
def test_addresses_are_read_in_every_spelling_that_proxies_use(
    text: str, address: str | None
) -> None:
    found = parse_address(text)
    assert (None if found is None else str(found)) == address


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.9.0.1"], "192.0.2.1"),
        (["192.0.2.1", "10.9.0.1"], "192.0.2.1"),
        (["10.0.0.1, 192.0.2.1"], "192.0.2.1"),
        (["10.0.0.1, 192.0.2.1, 10.9.0.7, ::1"], "192.0.2.1"),
        (["192.0.2.1, nonsense"], None),
        (["10.9.0.1, 127.0.0.1"], None),
        ([], None),
        ([""], None),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(
    headers: list[str], client: str | None
) -> None:
    found = client_of(headers, TRUSTED)
    assert (None if found is None else str(found)) == client


def test_networks_of_the_other_family_do_not_match() -> None:
    assert within(parse_address("10.9.1.1"), TRUSTED)
    assert within(parse_address("::ffff:127.0.0.1"), TRUSTED)
    assert not within(parse_address("::2"), TRUSTED)
    assert not within(None, TRUSTED)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=4))
def test_nothing_that_a_client_sends_before_the_proxy_does_changes_who_it_is(
    sent: list[str],
) -> None:
    assert str(client_of([*sent, "192.0.2.1"], TRUSTED)) == "192.0.2.1"
    assert str(client_of([",".join([*sent, "192.0.2.1", "10.9.0.1"])], TRUSTED)) == "192.0.2.1"
