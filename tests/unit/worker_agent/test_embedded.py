"""Graphs embedded in media files, put back into the user's names."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from worker_agent.checksums import renew, spans
from worker_agent.embedded import clean
from worker_agent.tenancy import NodeSchema, Schema, renamed_values, to_worker

MEDIA = Path(__file__).parents[2] / "recordings" / "media"
SCHEMA: Schema = {
    "PreviewImage": NodeSchema(output=True, files={}, combos=frozenset()),
    "SaveImage": NodeSchema(output=True, files={}, combos=frozenset()),
}


def graph(prefix: str = "shots/ComfyUI", image: str = "pic.png") -> dict[str, Any]:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "4": {"class_type": "PreviewImage", "inputs": {}},
    }


def posted(asked: dict[str, Any], user: str = "ann") -> tuple[dict[str, Any], dict[str, str]]:
    image = asked["1"]["inputs"]["image"]
    sent = to_worker(asked, user, {("1", "image", ""): f"vg/{user}/{image}"}, SCHEMA)
    return sent, renamed_values(asked, sent)


def picture(path: Path, info: PngInfo) -> Path:
    Image.new("RGB", (8, 8), "red").save(path, pnginfo=info)
    return path


def text(sent: dict[str, Any]) -> PngInfo:
    info = PngInfo()
    info.add_text("prompt", json.dumps(sent))
    info.add_text("workflow", json.dumps({"nodes": []}))
    return info


def packed(sent: dict[str, Any]) -> PngInfo:
    info = PngInfo()
    info.add_text("prompt", json.dumps(sent), zip=True)
    info.add_text("note", "as it was", zip=True)
    return info


def international(sent: dict[str, Any], *, zip: bool = False) -> PngInfo:
    info = PngInfo()
    info.add_itxt("prompt", json.dumps(sent, ensure_ascii=False), "en", "Prömpt", zip=zip)
    return info


def animated(sent: dict[str, Any]) -> PngInfo:
    info = PngInfo()
    body = b"prompt\0" + json.dumps(sent).encode("latin-1")
    info.add(b"comf", body, after_idat=True)
    return info


@pytest.mark.parametrize(
    "make", [text, packed, international, lambda sent: international(sent, zip=True)]
)
def test_a_pictures_prompt_is_the_one_that_was_posted(
    tmp_path: Path, make: Callable[[dict[str, Any]], PngInfo]
) -> None:
    asked = graph()
    sent, known = posted(asked)
    path = picture(tmp_path / "x.png", make(sent))
    assert clean(path, "ann", known)
    with Image.open(path) as image:
        assert isinstance(image, PngImageFile)
        image.load()
        assert json.loads(image.text["prompt"]) == asked
        assert image.getpixel((0, 0)) == (255, 0, 0)
    assert b"vg/ann" not in path.read_bytes()
    assert not list(tmp_path.glob(".vg-*"))


def test_plain_texts_keep_the_files_length_and_its_sums_right(tmp_path: Path) -> None:
    sent, known = posted(graph())
    path = picture(tmp_path / "x.png", animated(sent))
    size = path.stat().st_size
    assert clean(path, "ann", known)
    assert path.stat().st_size == size
    body = path.read_bytes()
    at, seen = 8, b""
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        chunk = body[at + 4 : at + 8 + length]
        assert struct.unpack(">I", body[at + 8 + length : at + 12 + length])[0] == zlib.crc32(chunk)
        seen = chunk if chunk.startswith(b"comf") else seen
        at += 12 + length
    assert json.loads(seen.removeprefix(b"comfprompt\0")) == graph()


def test_a_file_of_nobodys_prefix_is_left_alone(tmp_path: Path) -> None:
    path = picture(tmp_path / "x.png", text(graph()))
    before = path.read_bytes()
    assert not clean(path, "ann", {})
    assert path.read_bytes() == before


def test_another_users_folder_is_not_ours_to_strip(tmp_path: Path) -> None:
    sent, _ = posted(graph(), "anna")
    path = picture(tmp_path / "x.png", text(sent))
    assert not clean(path, "ann", {})


def test_without_the_posted_graph_the_folder_is_taken_off(tmp_path: Path) -> None:
    sent, _ = posted(graph())
    path = picture(tmp_path / "x.png", text(sent))
    assert clean(path, "ann", {})
    with Image.open(path) as image:
        assert json.loads(image.info["prompt"]) == graph()


def test_an_empty_prefix_is_empty_again(tmp_path: Path) -> None:
    sent, known = posted(graph(prefix=""))
    path = picture(tmp_path / "x.png", text(sent))
    clean(path, "ann", known)
    with Image.open(path) as image:
        assert json.loads(image.info["prompt"]) == graph(prefix="")


def test_an_animated_webp_carries_it_in_its_exif(tmp_path: Path) -> None:
    sent, known = posted(graph())
    path = tmp_path / "x.webp"
    frame = Image.new("RGB", (8, 8))
    exif = frame.getexif()
    exif[0x0110] = "prompt:" + json.dumps(sent)
    frame.save(path, exif=exif, save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    assert clean(path, "ann", known)
    with Image.open(path) as image:
        found = image.getexif()[0x0110]
    assert json.loads(found.removeprefix("prompt:")) == graph()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_a_prompt_quoted_in_json_stays_json(tmp_path: Path, levels: int) -> None:
    """Latents (safetensors), glTF, and packs that put it into a comment."""
    sent, known = posted(graph())
    value: Any = json.dumps(sent)
    for level in range(levels):
        value = json.dumps({f"level {level}": value})
    path = tmp_path / "x.latent"
    path.write_bytes(struct.pack("<Q", len(value)) + value.encode() + b"\0" * 64)
    assert clean(path, "ann", known)
    found: Any = path.read_bytes()[8:-64]
    for level in reversed(range(levels)):
        found = json.loads(found)[f"level {level}"]
    assert json.loads(found) == graph()


def test_an_svg_with_an_indented_prompt(tmp_path: Path) -> None:
    sent, known = posted(graph())
    path = tmp_path / "x.svg"
    path.write_text(f"<svg><metadata><![CDATA[{json.dumps(sent, indent=2)}]]></metadata></svg>")
    assert clean(path, "ann", known)
    found = path.read_text().removeprefix("<svg><metadata><![CDATA[").partition("]]>")[0]
    assert json.loads(found) == graph()


@pytest.mark.parametrize(
    "name", ["tone.flac", "tone.mp3", "tone.opus", "clip.mp4", "clip.webm", "clip.mkv"]
)
def test_sound_and_film_lose_the_folder_and_stay_whole(tmp_path: Path, name: str) -> None:
    """As ComfyUI's own nodes write them (PyAV)."""
    path = tmp_path / name
    shutil.copy(MEDIA / name, path)
    assert b"vg/ann/" in path.read_bytes()
    assert clean(path, "ann", {})
    body = path.read_bytes()
    assert b"vg/ann" not in body
    assert b'"vg"' not in body
    assert b'"filename_prefix": "audio/ComfyUI"' in body
    assert len(body) == (MEDIA / name).stat().st_size
    with path.open("r+b") as file:
        parts = spans(file)
        renew(file, parts, [part.start for part in parts.parts])
    # every sum was right already
    assert path.read_bytes() == body


@pytest.mark.parametrize("name", ["tone.opus", "clip.mkv"])
def test_our_sums_are_those_of_who_made_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copy(MEDIA / name, path)
    with path.open("r+b") as file:
        parts = spans(file)
        assert parts.parts
        renew(file, parts, [part.start for part in parts.parts])
    assert path.read_bytes() == (MEDIA / name).read_bytes()


def test_a_value_that_crosses_two_ogg_pages_is_left_rather_than_broken(tmp_path: Path) -> None:
    def page(content: bytes) -> bytes:
        sizes = bytes([len(content)])
        return b"OggS" + bytes(22) + bytes([1]) + sizes + content

    body = page(b'xx "vg/ann/') + page(b'ComfyUI" xx')
    path = tmp_path / "x.ogg"
    path.write_bytes(body)
    assert not clean(path, "ann", {})
    assert path.read_bytes() == body


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prefix=st.text(max_size=40), image=st.text(min_size=1, max_size=20), levels=st.integers(0, 2)
)
def test_whatever_the_names_it_stays_json_and_shows_no_folder(
    tmp_path: Path, prefix: str, image: str, levels: int
) -> None:
    asked = graph(prefix, image)
    sent, known = posted(asked)
    value = json.dumps(sent)
    for _ in range(levels):
        value = json.dumps(value)
    path = tmp_path / "any"
    path.write_text(value)
    clean(path, "ann", known)
    found: Any = path.read_text()
    assert len(found) == len(value)
    for _ in range(levels + 1):
        found = json.loads(found)
    shown = found["2"]["inputs"]["filename_prefix"]
    # one that climbs is longer than what it became; then it says what it became
    assert shown in (prefix, sent["2"]["inputs"]["filename_prefix"].removeprefix("vg/ann/"))
    assert found["3"] == asked["3"]
    assert found["1"]["inputs"]["image"] == image
