from __future__ import annotations

import base64
import json

import pytest

from config.settings import User
from gateway.keys import KeyKind, KeyRing, hash_key
from gateway.session import Sessions

ANN = User(name="ann", key="ann-key-0001", url_key="ann-url-0001")
BOB = User(name="bob", key="bob-key-0001")
RING = KeyRing([ANN, BOB], {})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(b"secret", clock)


def cookie_of_ann(sessions: Sessions, kind: KeyKind = KeyKind.API) -> str:
    holder = RING.holder("ann", kind)
    assert holder is not None
    return sessions.issue(holder, days=1)


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_cookie_brings_its_user_back(sessions: Sessions, kind: KeyKind) -> None:
    holder = sessions.read(cookie_of_ann(sessions, kind), RING)
    assert holder is not None
    assert (holder.user, holder.kind) == ("ann", kind)


def test_it_ends_when_its_time_is_over(sessions: Sessions, clock: Clock) -> None:
    cookie = cookie_of_ann(sessions)
    clock.now += 86399
    assert sessions.read(cookie, RING) is not None
    clock.now += 1
    assert sessions.read(cookie, RING) is None


@pytest.mark.parametrize(
    "overrides",
    [{"users.ann.revoked": True}, {"users.ann.key_hash": hash_key("another-one")}],
    ids=["revoked", "rotated"],
)
def test_it_ends_with_its_key(sessions: Sessions, overrides: dict[str, object]) -> None:
    cookie = cookie_of_ann(sessions)
    changed = {path: json.dumps(value) for path, value in overrides.items()}
    assert sessions.read(cookie, KeyRing([ANN], changed)) is None


def test_a_rotated_api_key_leaves_the_personal_urls_session_alone(sessions: Sessions) -> None:
    cookie = cookie_of_ann(sessions, KeyKind.URL)
    changed = {"users.ann.key_hash": json.dumps(hash_key("another-one"))}
    assert sessions.read(cookie, KeyRing([ANN], changed)) is not None


def test_another_secret_does_not_know_it(sessions: Sessions, clock: Clock) -> None:
    assert Sessions(b"other", clock).read(cookie_of_ann(sessions), RING) is None


def test_it_cannot_be_bent_to_another_user_time_or_kind(sessions: Sessions) -> None:
    name, kind, ends, mac = cookie_of_ann(sessions).split(".")
    bob = base64.urlsafe_b64encode(b"bob").decode().rstrip("=")
    for bent in (
        f"{bob}.{kind}.{ends}.{mac}",
        f"{name}.u.{ends}.{mac}",
        f"{name}.{kind}.{int(ends) + 1}.{mac}",
        f"{name}.{kind}.{ends}.{mac[:-1]}0" if mac[-1] != "0" else f"{name}.{kind}.{ends}.{mac}1",
    ):
        assert sessions.read(bent, RING) is None


@pytest.mark.parametrize(
    "cookie", ["", "a", "a.b.c.d", "....", "YW5u.a.x.y", "YW5u.a.٣.y", "\udcff.a.1.é", "%%%.a.9.z"]
)
def test_rubbish_is_nobody(sessions: Sessions, cookie: str) -> None:
    assert sessions.read(cookie, RING) is None
