"""Copies for the studio: whole, never over another file, never elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cli.delivery import RETRIED_MS, hand_over
from cli.jobs import DELIVERY_S, chores, errands
from cli.options import read_ground
from cli.shelf import Shelf, Unfit, clean
from config.files import Files, fixed_root
from scheduler.ledger import FileRecord
from store.outputs import Output, SqlOutputs
from tests.unit.cli.place import NOW_MS, Place


def output(user: str = "ann", subfolder: str = "", filename: str = "x.png") -> Output:
    record = FileRecord(
        type="output", subfolder=subfolder, filename=filename, agent="host", worker="host-0",
        worker_subfolder=f"vg/{user}", worker_filename=filename,
    )  # fmt: skip
    return Output(user=user, group="film", record=record, size_bytes=0, made_ms=NOW_MS)


async def run(place: Place, template: str) -> int:
    outputs = SqlOutputs(place.engine)
    waiting = await outputs.undelivered(NOW_MS - RETRIED_MS, 100)
    return await hand_over(waiting, template, outputs, place.hosts, NOW_MS)


async def test_each_output_of_the_last_week_is_delivered_once(
    place: Place,
    tmp_path: Path,
) -> None:
    await place.made("ann", "a.png", 1, b"of ann")
    await place.made("bob", "a.png", 1, b"of bob")
    await place.made("ann", "old.png", 8, b"too old")
    await place.made("ann", "t.png", 1, b"a preview", "temp")
    shots = tmp_path / "shots"
    shots.mkdir()
    template = f"{shots}/{{user}}"
    assert await run(place, template) == 2
    assert await run(place, template) == 0
    found = {str(path.relative_to(shots)): path.read_bytes() for path in shots.rglob("*.*")}
    assert found == {"ann/a.png": b"of ann", "bob/a.png": b"of bob"}


async def test_a_folder_that_is_not_mounted_is_waited_for(
    place: Place,
    tmp_path: Path,
) -> None:
    await place.made("ann", "a.png", 1, b"x")
    template = f"{tmp_path}/shots/{{user}}"
    assert await run(place, template) == 0
    assert not (tmp_path / "shots").exists()
    (tmp_path / "shots").mkdir()
    assert await run(place, template) == 1


async def test_what_lies_there_is_never_overwritten_and_the_same_is_not_copied_twice(
    place: Place,
    tmp_path: Path,
) -> None:
    await place.made("ann", "a.png", 1, b"new")
    await place.made("ann", "b.png", 1, b"same")
    (tmp_path / "a.png").write_bytes(b"by hand")
    (tmp_path / "b.png").write_bytes(b"same")
    os.symlink(tmp_path / "nowhere", tmp_path / "a (1).png")
    assert await run(place, f"{tmp_path}/") == 2
    assert (tmp_path / "a.png").read_bytes() == b"by hand"
    assert (tmp_path / "a (2).png").read_bytes() == b"new"
    assert not (tmp_path / "nowhere").exists()
    found = [name for name in os.listdir(tmp_path) if name.startswith((".", "b"))]
    assert found == ["b.png"]


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "ann").symlink_to(outside)
    with pytest.raises(Unfit):
        Shelf(root).folder(f"{root}/{{user}}", output(subfolder="deep"))
    assert not list(outside.iterdir())


@given(st.text(max_size=300), st.text(max_size=30))
def test_a_name_is_one_segment_that_every_system_takes(name: str, suffix: str) -> None:
    found = clean(f"{name}.{suffix}" if suffix else name)
    assert found
    assert not set(found) & set('<>:"|?*\\/\0')
    assert found not in (".", "..")
    assert not found.startswith(".")
    assert len(found.encode()) <= 210
    found.encode()


@pytest.mark.parametrize("name", ["CON", "nul.png", "com1", "..", ".", "", " ", "\u202egnp.x"])
def test_names_of_devices_and_of_nothing_are_changed(name: str) -> None:
    assert clean(name) not in (name, "")


@pytest.mark.parametrize(
    "template",
    ["shots/{user}", "/{user}", "/mnt/../etc/{user}", "/mnt/{nobody}", "/mnt/{user", "/mnt/{0}"],
)
def test_a_template_must_have_a_fixed_root_and_known_words(template: str) -> None:
    with pytest.raises(ValidationError):
        Files(deliver=template)


def test_the_root_is_what_stands_before_the_first_word() -> None:
    assert fixed_root("/mnt/shots/{group}/{user}") == Path("/mnt/shots")
    assert fixed_root("/mnt/shots_{group}") == Path("/mnt")
    assert fixed_root("/mnt/shots/") == Path("/mnt/shots")


def test_delivery_is_asked_for_only_where_it_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("redis: {url: 'redis://localhost:1'}\n")
    names = [errand.name for errand in errands(read_ground(file, tmp_path, environ={}))]
    assert names == ["sums", "advice", "budgets"]
    file.write_text("redis: {url: 'redis://localhost:1'}\nfiles: {deliver: '/mnt/x/{user}'}\n")
    ground = read_ground(file, tmp_path, environ={})
    (*_, errand) = errands(ground)
    assert errand.every_s == DELIVERY_S
    assert errand.name not in {chore.name for chore in chores(ground)}
    assert errand.name == "delivery"


def test_no_password_lies_about_in_the_queue_of_chores(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "redis: {url: 'redis://:hunter2@localhost:1'}\n"
        "store: {url: 'postgresql://vg:hunter2@db/vg'}\n"
        "files: {deliver: '/mnt/x/{user}'}\n"
    )
    ground = read_ground(file, tmp_path, environ={})
    due = [*chores(ground), *errands(ground)]
    assert len(due) == 8
    assert not [chore.name for chore in due if "hunter2" in repr(chore)]
