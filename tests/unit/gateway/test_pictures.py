from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from gateway import pictures
from gateway.errors import BadRequest


def png(path: Path, mode: str, size: tuple[int, int], color: object, **texts: str) -> Path:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.new(mode, size, color).save(path, pnginfo=info)  # type: ignore[arg-type]
    return path


def decoded(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body))


def test_a_mask_keeps_colours_and_texts_and_brings_its_alpha(tmp_path: Path) -> None:
    original = png(tmp_path / "o.png", "RGB", (4, 4), (200, 10, 20), prompt="{}", workflow="w")
    drawn = png(tmp_path / "m.png", "RGBA", (4, 4), (1, 2, 3, 77))
    made = decoded(pictures.masked(original, drawn))
    assert made.mode == "RGBA"
    assert made.getpixel((1, 1)) == (200, 10, 20, 77)
    assert made.text == {"prompt": "{}", "workflow": "w"}  # type: ignore[attr-defined]


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    original = png(tmp_path / "o.png", "RGB", (4, 4), 0)
    drawn = png(tmp_path / "m.png", "RGBA", (5, 4), 0)
    with pytest.raises(BadRequest):
        pictures.masked(original, drawn)


@pytest.mark.parametrize(
    ("spec", "channel", "kind"),
    [
        ("webp;50", "rgba", "image/webp"),
        ("jpeg;90", "rgb", "image/jpeg"),
        ("jpeg;90", "rgba", "image/webp"),
        ("gif;x", "rgba", "image/webp"),
        ("webp", "rgb", "image/webp"),
    ],
)
def test_previews_have_the_asked_format_or_webp(
    tmp_path: Path, spec: str, channel: str, kind: str
) -> None:
    source = png(tmp_path / "p.png", "RGBA", (8, 8), (255, 0, 0, 128))
    body, content_type = pictures.preview(source, spec, channel)
    assert content_type == kind
    assert decoded(body).get_format_mimetype() == kind  # type: ignore[attr-defined]


def test_palette_and_grey_pictures_can_be_previewed(tmp_path: Path) -> None:
    for mode in ("P", "L", "LA", "I;16"):
        source = png(tmp_path / f"{mode[0]}.png", mode, (4, 4), 0)
        assert pictures.preview(source, "webp;90", "rgba")[1] == "image/webp"


def test_channels_are_taken_apart(tmp_path: Path) -> None:
    source = png(tmp_path / "p.png", "RGBA", (2, 2), (9, 8, 7, 60))
    assert decoded(pictures.only_rgb(source)).getpixel((0, 0)) == (9, 8, 7)
    assert decoded(pictures.only_alpha(source)).getpixel((0, 0)) == (0, 0, 0, 60)
    solid = png(tmp_path / "s.png", "RGB", (2, 2), (9, 8, 7))
    assert decoded(pictures.only_alpha(solid)).getpixel((0, 0)) == (0, 0, 0, 255)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(BadRequest):
        pictures.preview(tmp_path / "x.png", "webp;90", "rgba")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    small = io.BytesIO()
    Image.new("1", (1, 1)).save(small, "png")
    head = bytearray(small.getvalue())
    head[16:24] = (20_000).to_bytes(4, "big") + (7_000).to_bytes(4, "big")
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    path.write_bytes(head)
    with pytest.raises(BadRequest, match="pixels"):
        pictures.only_rgb(path)
