from __future__ import annotations

import io
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from gateway.blobs import Blobs
from gateway.errors import TooLarge


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_stream_lies_under_its_digest(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    big = b"x" * 3_000_000
    blob = await blobs.store(chunks(b"ab", big, b"cd"), 10**7)
    assert blob.sha256 == sha256(b"ab" + big + b"cd").hexdigest()
    assert blob.size_bytes == len(big) + 4
    path = blobs.path(blob.sha256)
    assert path is not None
    assert path == tmp_path / "blobs" / blob.sha256[:2] / blob.sha256
    assert path.read_bytes() == b"ab" + big + b"cd"


async def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    assert await blobs.store_bytes(b"same") == await blobs.store(chunks(b"sa", b"me"), 4)
    assert len(files_below(tmp_path)) == 1


async def test_too_much_leaves_nothing_behind(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with pytest.raises(TooLarge):
        await blobs.store(chunks(b"12345", b"6"), 5)
    assert files_below(tmp_path) == []


async def test_a_broken_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await Blobs(tmp_path).store(broken(), 100)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    "digest", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"]
)
def test_what_is_no_digest_names_no_file(tmp_path: Path, digest: str) -> None:
    assert Blobs(tmp_path).path(digest) is None


async def test_a_pictures_size_is_read_once_and_what_is_none_has_none(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    out = io.BytesIO()
    Image.new("L", (30, 20)).save(out, "png")
    picture, text = await blobs.store_bytes(out.getvalue()), await blobs.store_bytes(b"text")
    assert await blobs.picture_size(picture.sha256) == (30, 20)
    assert await blobs.picture_size(text.sha256) is None
    assert await blobs.picture_size("0" * 64) is None
    found = blobs.path(picture.sha256)
    assert found is not None
    found.unlink()
    assert await blobs.picture_size(picture.sha256) == (30, 20)
