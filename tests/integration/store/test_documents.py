"""Settings and userdata: per user, atomic, and nothing outside the user's folder."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store.documents import SqlDocuments
from store.errors import BadPath


@pytest.fixture
def documents(engine: AsyncEngine, clock: Any) -> SqlDocuments:
    return SqlDocuments(engine, clock)


async def test_settings_of_one_user_are_not_another_ones(documents: SqlDocuments) -> None:
    await documents.change_settings("ann", {"Comfy.Theme": "dark", "Comfy.Deep": {"a": [1, None]}})
    await documents.change_settings("bob", {"Comfy.Theme": "light"})
    assert await documents.settings("ann") == {
        "Comfy.Theme": "dark",
        "Comfy.Deep": {"a": [1, None]},
    }
    assert await documents.settings("bob") == {"Comfy.Theme": "light"}
    assert await documents.settings("cho") == {}


async def test_settings_changed_at_once_are_all_kept(documents: SqlDocuments) -> None:
    await asyncio.gather(
        *(documents.change_settings("ann", {f"s{n}": n, "common": n}) for n in range(12))
    )
    settings = await documents.settings("ann")
    assert settings.pop("common") in range(12)
    assert settings == {f"s{n}": n for n in range(12)}


async def test_no_settings_change_is_no_error(documents: SqlDocuments) -> None:
    await documents.change_settings("ann", {})
    assert await documents.settings("ann") == {}


async def test_text_that_no_database_takes_is_stored_all_the_same(documents: SqlDocuments) -> None:
    await documents.change_settings("ann", {"nul\x00key": "nul\x00value", "half": "\ud800"})
    settings = await documents.settings("ann")
    assert settings["half"] == "\ud800"
    assert "nul\x00value" in settings.values()


async def test_a_document_comes_back_as_written(documents: SqlDocuments, clock: Any) -> None:
    written = await documents.write("ann", "workflows/Ä b.json", b"\x00\xff{}", overwrite=False)
    assert written is not None
    assert (written.path, written.size_bytes) == ("workflows/Ä b.json", 4)
    assert (written.created, written.modified) == (clock.now, clock.now)
    assert await documents.read("ann", "workflows/Ä b.json") == b"\x00\xff{}"
    assert await documents.read("bob", "workflows/Ä b.json") is None
    assert await documents.read("ann", "workflows") is None


async def test_overwriting_asks_for_leave_and_keeps_the_creation_time(
    documents: SqlDocuments, clock: Any
) -> None:
    await documents.write("ann", "a.json", b"1", overwrite=False)
    assert await documents.write("ann", "a.json", b"2", overwrite=False) is None
    assert await documents.read("ann", "a.json") == b"1"
    clock.now += 5
    again = await documents.write("ann", "a.json", b"22", overwrite=True)
    assert again is not None
    assert (again.created, again.modified, again.size_bytes) == (clock.now - 5, clock.now, 2)


async def test_only_one_of_many_creates_a_document(documents: SqlDocuments) -> None:
    done = await asyncio.gather(
        *(documents.write("ann", "a", bytes([n]), overwrite=False) for n in range(8))
    )
    assert sum(document is not None for document in done) == 1


async def test_listing_tells_children_from_descendants(documents: SqlDocuments) -> None:
    for path in ("a.json", "w/b.json", "w/deep/c.json", "W/d.json", "w%/e.json", "wx.json"):
        await documents.write("ann", path, b"{}", overwrite=False)

    async def names(folder: str, recurse: bool) -> set[str] | None:
        found = await documents.list("ann", folder, recurse=recurse)
        return None if found is None else {document.path for document in found}

    assert await names("w", True) == {"w/b.json", "w/deep/c.json"}
    assert await names("w/", False) == {"w/b.json"}
    assert await names("", False) == {"a.json", "wx.json"}
    assert len(await names("", True) or ()) == 6
    assert await names("none", True) is None
    assert await names("../ann", True) is None
    assert await documents.list("bob", "", recurse=True) == []


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "..", "", "a\\..\\x", "a\x00b"])
async def test_paths_that_leave_the_folder_are_refused(documents: SqlDocuments, path: str) -> None:
    with pytest.raises(BadPath):
        await documents.write("ann", path, b"x", overwrite=True)
    await documents.write("ann", "here", b"x", overwrite=True)
    with pytest.raises(BadPath):
        await documents.move("ann", "here", path, overwrite=True)
    assert await documents.read("ann", path) is None
    assert await documents.delete("ann", path) is False
    assert isinstance(await documents.move("ann", path, "y", overwrite=True), LookupError)


async def test_the_same_place_by_another_spelling_is_the_same_document(
    documents: SqlDocuments,
) -> None:
    await documents.write("ann", "w/./x//../a.json", b"1", overwrite=False)
    assert await documents.read("ann", "w/a.json") == b"1"


async def test_deleting_says_whether_there_was_one(documents: SqlDocuments) -> None:
    await documents.write("ann", "a", b"1", overwrite=False)
    assert await documents.delete("bob", "a") is False
    assert await documents.delete("ann", "a") is True
    assert await documents.delete("ann", "a") is False


async def test_moving_takes_content_and_times_along(documents: SqlDocuments, clock: Any) -> None:
    await documents.write("ann", "a", b"1", overwrite=False)
    clock.now += 9
    moved = await documents.move("ann", "a", "sub/b", overwrite=False)
    assert not isinstance(moved, LookupError)
    assert moved is not None
    assert (moved.path, moved.created, moved.modified) == ("sub/b", clock.now - 9, clock.now - 9)
    assert await documents.read("ann", "a") is None
    assert await documents.read("ann", "sub/b") == b"1"


async def test_moving_onto_another_asks_for_leave(documents: SqlDocuments) -> None:
    await documents.write("ann", "a", b"1", overwrite=False)
    await documents.write("ann", "b", b"2", overwrite=False)
    assert await documents.move("ann", "a", "b", overwrite=False) is None
    assert await documents.read("ann", "a") == b"1"
    assert await documents.read("ann", "b") == b"2"
    assert await documents.move("ann", "a", "b", overwrite=True) is not None
    assert await documents.read("ann", "b") == b"1"
    assert await documents.move("ann", "b", "b", overwrite=True) is not None
    assert await documents.read("ann", "b") == b"1"
