"""Outputs that lie on the gateway's own disk: read there, and only if it is the very file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from scheduler.live import FilePlace
from tests.integration.gateway_info.conftest import ANN, BOB, Gateway

BODY = bytes(range(256)) * 4
STREAMED = b"through the agent"
KEY = ("output", "vg_ann", "x_00001_.png")
NAMED = {"subfolder": KEY[1], "filename": KEY[2]}
Change = Callable[[Path, Path], object]


def place_of(path: Path) -> FilePlace:
    found = path.stat()
    return FilePlace(
        path=str(path),
        inode=found.st_ino,
        size_bytes=found.st_size,
        modified_ns=found.st_mtime_ns,
    )


@pytest.fixture
async def file(gateway: Gateway, tmp_path: Path) -> Path:
    """An output of ann's that is on this disk; what the agent would stream is something else."""
    await gateway.output("ann", STREAMED)
    path = tmp_path / "x_00001_.png"
    path.write_bytes(BODY)
    gateway.agent.places[KEY] = place_of(path)
    return path


async def look(
    gateway: Gateway, who: dict[str, str] = ANN, method: str = "GET", **headers: str
) -> tuple[int, bytes, Mapping[str, str]]:
    answer = await gateway.client.request(method, "/view", params=NAMED, headers=who | headers)
    return answer.status, await answer.read(), answer.headers


async def test_it_is_read_from_the_disk_and_asked_for_once(gateway: Gateway, file: Path) -> None:
    for _ in range(3):
        status, body, headers = await look(gateway)
        assert (status, body) == (200, BODY)
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Disposition"] == 'filename="x_00001_.png"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert gateway.agent.asked.count("place") == 1


async def test_ranges_conditions_and_head_are_answered_as_a_worker_would(
    gateway: Gateway, file: Path
) -> None:
    _, _, headers = await look(gateway)
    tag = headers["ETag"]
    assert tag == f'"{place_of(file).modified_ns:x}-{len(BODY):x}"'
    assert headers["Accept-Ranges"] == "bytes"
    status, body, headers = await look(gateway, Range="bytes=10-19")
    assert (status, body) == (206, BODY[10:20])
    assert headers["Content-Range"] == f"bytes 10-19/{len(BODY)}"
    assert (await look(gateway, Range="bytes=9999-"))[0] == 416
    assert (await look(gateway, ANN | {"If-None-Match": tag}))[:2] == (304, b"")
    status, body, headers = await look(gateway, method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(BODY)))


async def test_a_preview_is_drawn_by_the_worker(gateway: Gateway, file: Path) -> None:
    query = {**NAMED, "preview": "webp;50"}
    answer = await gateway.client.get("/view", params=query, headers=ANN)
    assert await answer.read() == b"preview:webp;50"


async def test_another_user_gets_nothing_of_it(gateway: Gateway, file: Path) -> None:
    await look(gateway)
    assert (await look(gateway, BOB))[:2] == (404, b"")


@pytest.mark.parametrize("path", ["/none/x.png", "/etc/hostname", "/dev/zero", "", "a\0b"])
async def test_a_path_that_means_something_else_here_is_not_read(
    gateway: Gateway, file: Path, path: str
) -> None:
    true = gateway.agent.places[KEY]
    assert true is not None
    gateway.agent.places[KEY] = FilePlace(
        path=path, inode=true.inode, size_bytes=true.size_bytes, modified_ns=true.modified_ns
    )
    for _ in range(2):
        assert (await look(gateway))[:2] == (200, STREAMED)
    assert gateway.agent.asked.count("place") == 1


async def test_an_agent_that_does_not_see_the_folders_is_not_asked_each_time(
    gateway: Gateway, file: Path
) -> None:
    gateway.agent.places[KEY] = None
    for _ in range(3):
        assert (await look(gateway))[:2] == (200, STREAMED)
    assert gateway.agent.asked.count("place") == 1


def a_link(file: Path, secret: Path) -> None:
    file.unlink()
    file.symlink_to(secret)


def another_file(file: Path, secret: Path) -> None:
    file.unlink()
    file.write_bytes(secret.read_bytes())


def other_bytes(file: Path, secret: Path) -> None:
    file.write_bytes(secret.read_bytes())
    os.utime(file, ns=(1, 1))


def a_pipe(file: Path, secret: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def anew(file: Path) -> None:
    file.unlink()
    file.write_bytes(b"anew")


def nothing(file: Path, secret: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("change", [a_link, another_file, other_bytes, a_pipe, nothing])
async def test_what_takes_the_place_of_a_known_file_is_not_read(
    gateway: Gateway, file: Path, tmp_path: Path, change: Change
) -> None:
    assert (await look(gateway))[1] == BODY
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 171)
    del gateway.agent.places[KEY]
    change(file, secret)
    assert (await look(gateway))[:2] == (200, STREAMED)


async def test_a_file_that_was_written_anew_is_read_anew(gateway: Gateway, file: Path) -> None:
    await look(gateway)
    anew(file)
    gateway.agent.places[KEY] = place_of(file)
    assert (await look(gateway))[:2] == (200, b"anew")
