"""Admins' edits above the file."""

from __future__ import annotations

from structlog.testing import capture_logs

from config.edits import with_edits
from config.overrides import people
from config.settings import Role, Settings, User

FILE = Settings(users=(User(name="anna", key="long-enough"), User(name="b.en")))


def test_a_user_is_added_beside_those_of_the_file() -> None:
    found = with_edits(FILE, {"users.cleo": '{"name": "cleo", "role": "admin"}'})
    assert [user.name for user in found.users] == ["anna", "b.en", "cleo"]
    assert found.users[2].role is Role.ADMIN


def test_without_added_users_the_settings_stay_the_same_object() -> None:
    assert with_edits(FILE, {"users.anna.revoked": "true"}) is FILE


def test_one_field_is_changed_also_for_names_with_dots() -> None:
    found = people(
        FILE.users, {"users.b.en.key_hash": '"blake2b:00"', "users.anna.revoked": "true"}
    )
    assert found["b.en"].has_key
    assert not found["b.en"].has_url_key
    assert found["anna"].revoked


def test_an_unreadable_override_is_named_without_its_text() -> None:
    with capture_logs() as logs:
        assert set(people(FILE.users, {"users.cleo": "{secret"})) == {"anna", "b.en"}
    assert logs == [{"event": "override_unreadable", "path": "users.cleo", "log_level": "error"}]


def test_a_key_that_was_changed_or_taken_away_no_longer_is_the_files() -> None:
    changed = people(FILE.users, {"users.anna.key_hash": '"blake2b:00"'})["anna"].user
    assert (changed.key, changed.key_hash) == (None, "blake2b:00")
    taken = people(FILE.users, {"users.anna.key_hash": '""'})["anna"]
    assert not taken.has_key
    unreadable = people(FILE.users, {"users.anna.key_hash": "7"})["anna"]
    assert unreadable.user == FILE.users[0]
