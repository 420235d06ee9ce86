from __future__ import annotations

import json

import pytest

from config.settings import Role, User
from gateway.keys import KeyKind, KeyRing, hash_key, mint_key

ANN = User(name="ann", group="film", key="ann-key-0001", url_key="ann-url-0001")
BOB = User(name="bob", key_hash=hash_key("bob-key-0001"), role=Role.ADMIN)


def ring(overrides: dict[str, object] | None = None) -> KeyRing:
    return KeyRing(
        [ANN, BOB], {path: json.dumps(value) for path, value in (overrides or {}).items()}
    )


def test_a_key_finds_its_holder_whether_kept_plain_or_as_a_digest() -> None:
    ann, bob = ring().find("ann-key-0001", KeyKind.API), ring().find("bob-key-0001", KeyKind.API)
    assert ann is not None
    assert (ann.user, ann.group, ann.role) == ("ann", "film", Role.ARTIST)
    assert bob is not None
    assert (bob.user, bob.role) == ("bob", Role.ADMIN)


@pytest.mark.parametrize("wrong", ["", "ann-key-000", "ANN-KEY-0001", hash_key("bob-key-0001")])
def test_a_wrong_key_finds_nobody_and_a_digest_is_no_key(wrong: str) -> None:
    assert ring().find(wrong, KeyKind.API) is None


def test_url_keys_and_api_keys_are_not_exchangeable() -> None:
    assert ring().find("ann-url-0001", KeyKind.API) is None
    assert ring().find("ann-key-0001", KeyKind.URL) is None
    assert ring().find("ann-url-0001", KeyKind.URL) is not None


def test_a_revoked_user_has_no_key_of_either_kind() -> None:
    revoked = ring({"users.ann.revoked": True})
    assert revoked.find("ann-key-0001", KeyKind.API) is None
    assert revoked.find("ann-url-0001", KeyKind.URL) is None
    assert all(revoked.holder("ann", kind) is None for kind in KeyKind)
    assert revoked.find("bob-key-0001", KeyKind.API) is not None


def test_an_override_replaces_the_key_of_the_file() -> None:
    rotated = ring({"users.ann.key_hash": hash_key("fresh-key-1")})
    assert rotated.find("ann-key-0001", KeyKind.API) is None
    found = rotated.find("fresh-key-1", KeyKind.API)
    assert found is not None
    assert found.user == "ann"
    assert rotated.find("ann-url-0001", KeyKind.URL) is not None


def test_a_user_added_by_an_override_can_come_in() -> None:
    added = ring({"users.eve": {"key_hash": hash_key("eve-key-0001"), "role": "viewer"}})
    found = added.find("eve-key-0001", KeyKind.API)
    assert found is not None
    assert (found.user, found.role) == ("eve", Role.VIEWER)


def test_an_override_speaks_of_the_user_in_its_path_alone() -> None:
    posing = ring({"users.eve": {"name": "ann", "key_hash": hash_key("eve-key-0001")}})
    found = posing.find("eve-key-0001", KeyKind.API)
    assert found is not None
    assert found.user == "eve"
    assert posing.find("ann-key-0001", KeyKind.API) is not None


def test_names_with_dots_are_told_from_fields() -> None:
    dotted = ring(
        {
            "users.a.b": {"key_hash": hash_key("dotted-key")},
            "users.a.b.url_key_hash": hash_key("dotted-url"),
        }
    )
    found = dotted.find("dotted-url", KeyKind.URL)
    assert found is not None
    assert found.user == "a.b"


def test_an_unreadable_override_lets_nobody_in_and_breaks_nothing() -> None:
    broken = KeyRing([ANN], {"users.eve": "{", "users.mal": '{"rôle": 1}', "scheduler.window": "3"})
    assert broken.holder("eve", KeyKind.API) is None
    assert broken.holder("mal", KeyKind.API) is None
    assert broken.find("ann-key-0001", KeyKind.API) is not None


def test_minted_keys_differ_and_fit_in_a_url() -> None:
    first, second = mint_key(), mint_key()
    assert first != second
    assert len(first) >= 43
    assert all(sign.isalnum() or sign in "-_" for sign in first)


def test_a_key_of_bytes_that_are_no_text_is_just_wrong() -> None:
    assert ring().find("\udcff", KeyKind.API) is None
