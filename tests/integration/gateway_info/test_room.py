"""Quotas of uploads, full disks, and odd forms."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientError, web

from tests.integration.gateway_info.conftest import ANN, BOB, KEYS, VIC, Gateway, Start, png
from tests.integration.gateway_info.test_files import RED, upload, view

HEADERS = {**ANN, "Content-Type": "multipart/form-data; boundary=b"}


def quota(most: int, **more: Any) -> dict[str, Any]:
    return {**KEYS, "files": {"upload_quota": most, "min_free": 0}, **more}


def part(name: str, body: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + body + b"\r\n"


async def raw(gateway: Gateway, *parts: bytes) -> Any:
    """A form in chunks, its length untold."""

    async def body() -> AsyncIterator[bytes]:
        for piece in (*parts, b"--b--\r\n"):
            for start in range(0, len(piece), 1000):
                yield piece[start : start + 1000]

    return await gateway.client.post("/upload/image", data=body(), headers=HEADERS)


def stored(gateway: Gateway) -> list[str]:
    return [path.name for path in gateway.files_dir.rglob("*") if path.is_file()]


async def test_fields_may_stand_behind_the_file(gateway: Gateway) -> None:
    answer = await raw(
        gateway,
        part("image", RED, "pic.png"),
        part("subfolder", b"a"),
        part("type", b"temp"),
        part("overwrite", b"true"),
    )
    assert await answer.json() == {"name": "pic.png", "subfolder": "a", "type": "temp"}
    found = await view(gateway, filename="pic.png", subfolder="a", type="temp")
    assert found == (200, RED)


async def test_what_is_no_picture_is_kept_as_well(gateway: Gateway) -> None:
    for name in ("a.wav", "a.mp4", "3d/a.glb", "a.latent", "a"):
        answer = await raw(gateway, part("image", b"bytes of " + name.encode(), name))
        kept = await answer.json()
        found = await view(gateway, filename=kept["name"], type="input")
        assert found == (200, b"bytes of " + name.encode())


async def test_a_broken_off_upload_leaves_nothing(gateway: Gateway) -> None:
    url = gateway.client.make_url("/upload/image")

    async def half() -> AsyncIterator[bytes]:
        yield part("image", b"x" * 5000, "a.png")[:3000]
        raise ConnectionError("the client has gone")

    with pytest.raises(ClientError):
        await gateway.client.session.post(url, data=half(), headers=HEADERS)
    answer = await raw(gateway, part("image", b"whole", "b.png"))
    assert answer.status == 200
    assert len(stored(gateway)) == 1


@pytest.mark.parametrize(
    "parts",
    [
        [part("x" * 100_000, b"y")],
        [b"--b\r\n" + b"X-A: " + b"y" * 100_000 + b"\r\n\r\n"],
        [b"--b\r\n" + b"X-A: y\r\n" * 50_000 + b"\r\n\r\n"],
        [part("overwrite", b"x" * 100_000), part("image", b"z", "a.png")],
    ],
    ids=["name", "header", "headers", "field"],
)
async def test_a_huge_field_is_refused(gateway: Gateway, parts: list[bytes]) -> None:
    answer = await raw(gateway, *parts)
    assert answer.status in (400, 413)
    assert stored(gateway) == []


async def test_uploads_over_the_quota_are_refused_and_say_how_much_is_left(start: Start) -> None:
    gateway = await start(quota(10_000))
    await upload(gateway, b"x" * 9_000, "a.bin")
    for body in (b"y" * 2_000, b"z" * 200_000):
        answer = await raw(gateway, part("image", body, "b.bin"))
        assert answer.status == 413
        error = (await answer.json())["error"]
        assert error["type"] == "quota_exceeded"
        assert "1000 bytes are left" in error["message"]
    assert (await view(gateway, filename="b.bin", type="input"))[0] == 404
    # another user has a quota of his own
    await upload(gateway, b"y" * 9_000, "b.bin", BOB)


async def test_a_full_quota_is_freed_by_deleting(start: Start) -> None:
    gateway = await start(quota(10_000))
    await upload(gateway, b"x" * 10_000, "a.bin", subfolder="sub")
    await upload(gateway, b"y", status=413)
    told = await gateway.json("/vramgate/files")
    assert told["used_bytes"] == told["quota_bytes"] == 10_000
    assert told["files"] == [{"type": "input", "path": "sub/a.bin", "size_bytes": 10_000}]
    query = {"type": "input", "path": "sub/a.bin"}
    for who, status in ((BOB, 404), (VIC, 403), (ANN, 204), (ANN, 404)):
        answer = await gateway.client.delete("/vramgate/files", params=query, headers=who)
        assert answer.status == status
    assert (await gateway.json("/vramgate/files", BOB))["files"] == []
    await upload(gateway, b"y")


@pytest.mark.parametrize("path", ["", "..", "../a", "/etc/passwd", "a/../../b"])
async def test_what_names_no_upload_deletes_none(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.delete("/vramgate/files", params={"path": path}, headers=ANN)
    assert answer.status in (400, 404)


async def test_a_users_or_groups_quota_goes_before_everybodys(start: Start) -> None:
    users = [
        {"name": "ann", "group": "film", "key": "key-of-ann-01"},
        {"name": "bob", "group": "film", "key": "key-of-bob-01", "upload_quota": 3000},
    ]
    groups = [{"name": "film", "upload_quota": 2000}]
    gateway = await start(quota(1000, users=users, groups=groups))
    await upload(gateway, b"x" * 2500, status=413)
    await upload(gateway, b"x" * 1500)
    await upload(gateway, b"x" * 2500, who=BOB)


async def test_below_the_least_free_space_nothing_is_uploaded(start: Start) -> None:
    gateway = await start({**KEYS, "files": {"min_free": "1000TiB"}})
    answer = await raw(gateway, part("image", png(), "a.png"))
    assert answer.status == 507
    assert (await answer.json())["error"]["type"] == "disk_full"
    assert stored(gateway) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_write_that_finds_the_disk_full_says_so(start: Start, number: int) -> None:
    async def write(request: web.Request) -> web.Response:
        raise OSError(number, "no room")

    full = web.Application()
    full.router.add_get("/write", write)
    gateway = await start(KEYS, extra={"/full": full})
    told = await gateway.json("/full/write", ANN, 507)
    assert told["error"]["type"] == "disk_full"


async def test_a_preview_that_a_worker_cannot_draw_is_drawn_here(gateway: Gateway) -> None:
    folder, name = await gateway.output("ann", png((0, 0, 255)))
    gateway.agent.draws = False
    query = {"filename": name, "subfolder": folder, "preview": "webp;90"}
    answer = await gateway.client.get("/view", params=query, headers=ANN)
    assert (answer.status, answer.content_type) == (200, "image/webp")
    assert (await answer.read())[8:12] == b"WEBP"
