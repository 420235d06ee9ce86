"""Uploads by name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scheduler.states import InputFile
from store.input_files import SqlInputFiles


@pytest.fixture
def uploads(engine: AsyncEngine, clock: Any) -> SqlInputFiles:
    return SqlInputFiles(engine, clock)


def _file(path: str, sha256: str = "ab" * 32) -> InputFile:
    return InputFile(path=path, sha256=sha256, size_bytes=3)


async def test_an_upload_is_found_by_its_own_user_and_type_only(uploads: SqlInputFiles) -> None:
    await uploads.put("ann", "input", _file("sub/pic.png"))
    assert await uploads.find("ann", "input", "sub/pic.png") == _file("sub/pic.png")
    assert await uploads.find("ann", "temp", "sub/pic.png") is None
    assert await uploads.find("bob", "input", "sub/pic.png") is None
    assert await uploads.find("ann", "input", "pic.png") is None


async def test_a_name_means_the_bytes_put_last(uploads: SqlInputFiles) -> None:
    await uploads.put("ann", "input", _file("a.png", "aa" * 32))
    await uploads.put("ann", "input", _file("a.png", "bb" * 32))
    assert await uploads.find("ann", "input", "a.png") == _file("a.png", "bb" * 32)
    assert not await uploads.owns("aa" * 32)
    assert await uploads.owns("bb" * 32)


async def test_uploads_are_listed_newest_first(uploads: SqlInputFiles, clock: Any) -> None:
    for name in ("a", "b", "c"):
        await uploads.put("ann", "input", _file(name))
        clock.now += 1
    await uploads.put("ann", "input", _file("a"))
    assert [file.path for file in await uploads.list("ann", "input")] == ["a", "c", "b"]
    assert await uploads.list("bob", "input") == []


async def test_a_name_is_claimed_by_one_of_many(uploads: SqlInputFiles) -> None:
    files = [_file("a.png", f"{n:064x}") for n in range(8)]
    won = await asyncio.gather(*(uploads.claim("ann", "input", file) for file in files))
    assert won.count(True) == 1
    assert await uploads.find("ann", "input", "a.png") == files[won.index(True)]
    assert await uploads.claim("bob", "input", files[0])


async def test_all_names_of_a_prompt_are_found_at_once_and_only_the_users_own(
    uploads: SqlInputFiles,
) -> None:
    await uploads.put("ann", "input", _file("a.png", "aa" * 32))
    await uploads.put("ann", "temp", _file("b.png", "bb" * 32))
    await uploads.put("bob", "input", _file("c.png", "cc" * 32))
    names = [("input", name) for name in ("a.png", "b.png", "c.png")] + [("temp", "b.png")]
    assert await uploads.find_all("ann", names) == {
        ("input", "a.png"): _file("a.png", "aa" * 32),
        ("temp", "b.png"): _file("b.png", "bb" * 32),
    }
    assert await uploads.find_all("ann", []) == {}


async def test_more_names_than_one_statement_takes_are_all_found(uploads: SqlInputFiles) -> None:
    names = [("input", f"{n}.png") for n in range(1_001)]
    for name in ("0.png", "1000.png"):
        await uploads.put("ann", "input", _file(name))
    found = await uploads.find_all("ann", names)
    assert sorted(found) == [("input", "0.png"), ("input", "1000.png")]


async def test_a_name_that_no_database_takes_is_found_as_it_was_given(
    uploads: SqlInputFiles,
) -> None:
    await uploads.put("ann", "input", _file("a\ud83d.png"))
    assert await uploads.find("ann", "input", "a\ud83d.png") == _file("a\ud83d.png")


async def test_a_change_by_another_gateway_counts_at_once(
    uploads: SqlInputFiles, engine: AsyncEngine, clock: Any
) -> None:
    other = SqlInputFiles(engine, clock)
    await uploads.put("ann", "input", _file("a.png", "aa" * 32))
    assert await uploads.find("ann", "input", "a.png") == _file("a.png", "aa" * 32)
    await other.put("ann", "input", _file("a.png", "bb" * 32))
    assert await uploads.find("ann", "input", "a.png") == _file("a.png", "bb" * 32)
    await other.delete("ann", "input", "a.png")
    assert await uploads.find("ann", "input", "a.png") is None
