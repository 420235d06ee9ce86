"""Limits that admins change while all runs: what may be, how it is checked, what is in force."""

from __future__ import annotations

import json

import pytest

from config.edits import (
    GROUP_FIELDS,
    POOL_PATHS,
    BadEdit,
    checked,
    default_of,
    edit_of,
    group_names,
    value_of,
    with_edits,
)
from config.loading import load
from config.settings import Group, Settings, User

FILE = Settings(
    users=(User(name="b.en", group="film", weight=2.0), User(name="ann")),
    groups=(Group(name="film", budget=100.0),),
)


@pytest.mark.parametrize(
    ("path", "value", "kept"),
    [
        ("users.b.en.weight", 3, "3.0"),
        ("users.ann.max_bytes", "12GiB", str(12 * 2**30)),
        ("users.ann.workers", ["studio1-*"], '["studio1-*"]'),
        ("users.ann.max_running", None, "null"),
        ("groups.film.budget", 40, "40.0"),
        ("groups.default.vram_share", 0.5, "0.5"),
        ("scheduler.max_running", 7, "7"),
        ("scheduler.aging", "10m", "600.0"),
        ("scheduler.rhythm", "on", '"on"'),
        ("admission.safety_min", "1GiB", str(2**30)),
    ],
)
def test_an_edit_is_kept_in_the_settings_own_units_and_in_force(
    path: str, value: object, kept: str
) -> None:
    edit = edit_of(path, FILE)
    assert edit is not None
    text = checked(edit, value, FILE)
    assert text == kept
    assert value_of(edit, with_edits(FILE, {path: text})) == json.loads(kept)
    assert with_edits(FILE, {}) is FILE


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("users.ann.weight", 0, "greater than 0"),
        ("users.ann.weight", "much", "valid number"),
        ("users.ann.max_bytes", "12 apples", "no size; write for example 24GiB"),
        ("groups.film.vram_share", 1.5, "less than or equal to 1"),
        ("scheduler.max_running", 0, "greater than or equal to 1"),
        ("scheduler.rhythm", "sometimes", "'off', 'advise' or 'on'"),
    ],
)
def test_what_is_no_value_is_refused_with_its_path_and_what_would_be(
    path: str, value: object, said: str
) -> None:
    edit = edit_of(path, FILE)
    assert edit is not None
    with pytest.raises(BadEdit, match=path.replace(".", r"\.")) as refused:
        checked(edit, value, FILE)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "path",
    [
        "users.ann.key",
        "users.ann.role",
        "users.nobody.weight",
        "groups.nobody.weight",
        "groups.film.share_outputs",
        "gateway.port",
        "auth.mode",
        "scheduler.lease",
        "scheduler",
        "",
    ],
)
def test_nothing_else_may_be_edited(path: str) -> None:
    assert edit_of(path, FILE) is None


def test_other_fields_stay_as_they_were() -> None:
    found = with_edits(FILE, {"users.b.en.max_running": "2", "groups.film.weight": "3.0"})
    ben = found.user("b.en")
    assert ben is not None
    assert (ben.weight, ben.group, ben.max_running) == (2.0, "film", 2)
    assert (found.group("film").budget, found.group("film").weight) == (100.0, 3.0)


def test_one_that_this_release_cannot_read_changes_nothing() -> None:
    bad = {"users.ann.weight": '"x"', "groups.film.budget": "-1", "scheduler.aging": "{", "x": "1"}
    found = with_edits(FILE, bad)
    assert found.user("ann") == FILE.user("ann")
    assert found.group("film") == FILE.group("film")
    assert found.scheduler == FILE.scheduler


def test_groups_that_only_users_name_may_be_edited_too() -> None:
    assert group_names(FILE) == ["default", "film"]


def test_every_setting_that_may_be_edited_has_a_default() -> None:
    for path in (*POOL_PATHS, *(f"groups.film.{field}" for field in GROUP_FIELDS)):
        edit = edit_of(path, FILE)
        assert edit is not None, path
        default_of(edit)


def test_maintenance_is_an_edit_of_its_own() -> None:
    until = "2026-11-30T18:00:00+01:00"
    text = json.dumps({"enabled": True, "message": "new disks", "until": until})
    found = with_edits(FILE, {"maintenance": text}).maintenance
    assert found.enabled
    assert found.until is not None
    assert (found.over(found.until.timestamp() - 1), found.over(found.until.timestamp())) == (
        False,
        True,
    )


def test_the_file_may_say_maintenance_too(tmp_path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("maintenance: {enabled: true, until: 2026-11-30T18:00:00+01:00}\n")
    assert load(file, environ={}).settings.maintenance.until is not None
