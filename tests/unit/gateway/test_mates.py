from __future__ import annotations

from typing import Any

import pytest

from config.settings import Settings
from gateway.mates import Mates, folder_of
from gateway.names import FileName

USERS = [
    {"name": "ann", "group": "film"},
    {"name": "mia", "group": "film"},
    {"name": "leo@studio", "group": "film", "role": "viewer"},
    {"name": "bob", "group": "games"},
    {"name": "eve"},
]


def mates(**film: Any) -> Mates:
    groups = [{"name": "film", **film}, {"name": "games"}]
    settings = Settings.model_validate({"users": USERS, "groups": groups})
    return Mates(lambda: settings)


def named(subfolder: str, type: str = "output") -> FileName:
    return FileName(type, subfolder, "x_00001_.png")


def test_nobody_shares_anything_unless_the_admin_says_so() -> None:
    told = mates()
    assert [told.outputs(user) + told.queue(user) for user in ("ann", "bob", "eve", "who")] == [
        ()
    ] * 4


def test_outputs_and_queue_are_shared_apart_and_with_all_others_of_the_group() -> None:
    assert mates(share_outputs=True).outputs("mia") == ("ann", "leo@studio")
    assert mates(share_outputs=True).queue("mia") == ()
    assert mates(share_queue=True).queue("ann") == ("mia", "leo@studio")
    assert mates(share_queue=True).outputs("ann") == ()


@pytest.mark.parametrize("user", ["bob", "eve", "unknown", ""])
def test_who_is_not_in_the_group_sees_nothing(user: str) -> None:
    told = mates(share_outputs=True, share_queue=True)
    assert told.outputs(user) == told.queue(user) == ()
    assert told.owner(user, named("@ann")) == (user, named("@ann"))


@pytest.mark.parametrize(
    ("folder", "owner", "means"),
    [
        ("@mia", "mia", ""),
        ("@mia/shots/a", "mia", "shots/a"),
        ("@leo@studio", "leo@studio", ""),
        ("@mia/@leo@studio", "mia", "@leo@studio"),
        ("@ann", "ann", "@ann"),
        ("@bob", "ann", "@bob"),
        ("@MIA", "ann", "@MIA"),
        ("@mia ", "ann", "@mia "),
        ("@", "ann", "@"),
        ("@@mia", "ann", "@@mia"),
        ("mia", "ann", "mia"),
        ("shots/@mia", "ann", "shots/@mia"),
        ("\uff20mia", "ann", "\uff20mia"),
    ],
)
def test_only_a_mates_exact_name_at_the_top_means_its_files(
    folder: str, owner: str, means: str
) -> None:
    told = mates(share_outputs=True)
    assert told.owner("ann", named(folder)) == (owner, named(means))


@pytest.mark.parametrize("type", ["input", "temp", "passed"])
def test_no_other_type_is_shared(type: str) -> None:
    told = mates(share_outputs=True, share_queue=True)
    assert told.owner("ann", named("@mia", type)) == ("ann", named("@mia", type))


def test_other_settings_count_at_once() -> None:
    def settings(group: str) -> Settings:
        users = [{"name": "ann", "group": "film"}, {"name": "mia", "group": group}]
        groups = [{"name": "film", "share_outputs": True}]
        return Settings.model_validate({"users": users, "groups": groups})

    now = [settings("film")]
    told = Mates(lambda: now[0])
    assert told.outputs("ann") == ("mia",)
    now[0] = settings("games")
    assert told.outputs("ann") == told.outputs("mia") == ()


def test_a_mates_folder_is_found_again() -> None:
    told = mates(share_outputs=True)
    for subfolder in ("", "shots", "a/b"):
        shown = named(folder_of("mia", subfolder))
        assert told.owner("ann", shown) == ("mia", named(subfolder))
