"""What ComfyUI does to pictures on the way: previews, channels, masks. Pure, run in threads.

Pixels are bounded before anything is decoded: a small file may unfold to a huge image.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from PIL import Image, ImageFile, PngImagePlugin

from gateway.errors import BadRequest

P = ParamSpec("P")
T = TypeVar("T")

#: 16 Ki × 8 Ki: beyond any output of today's models; 512 MiB once decoded to RGBA
MAX_PIXELS: Final = 2**27
_PREVIEWS: Final = frozenset({"webp", "jpeg"})
_DEFAULT_QUALITY: Final = 90
#: Pillow warns from here on, too
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
#: at most two pictures are in memory at once, and other threads stay free
_POOL: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pictures")
#: as ComfyUI writes masks: fast, a little larger
_COMPRESS_LEVEL: Final = 4


async def off_loop(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run one of this module's functions in a thread of its own kind."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_POOL, partial(work, *args, **kwargs))


def size_of(source: Path) -> tuple[int, int] | None:
    """Width and height, read from the file's head alone; None: no picture, or too large a one."""
    try:
        with Image.open(source) as image:
            return image.size if image.width * image.height <= MAX_PIXELS else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning):
        return None


def preview_format(spec: str, channel: str) -> str:
    """``webp`` or ``jpeg``: what ``webp;90`` asks for, as ComfyUI reads it.

    ``channel`` is the query's, "" where it names none: alpha needs WebP.
    """
    wanted = spec.split(";")[0]
    return wanted if wanted in _PREVIEWS and "a" not in channel else "webp"


def preview(source: Path, spec: str, channel: str) -> tuple[bytes, str]:
    """``webp;90`` of a picture, and its content type; an unknown format means WebP.

    Raises:
        BadRequest: it is no picture, or too large a one.
    """
    words = spec.split(";")
    wanted = preview_format(spec, channel)
    quality = _DEFAULT_QUALITY
    if words[-1].isascii() and words[-1].isdigit():
        quality = min(int(words[-1]), 100)
    with _open(source) as image:
        if wanted == "jpeg" or channel == "rgb":
            shown = image.convert("RGB")
        else:
            shown = image if image.mode in ("RGB", "RGBA") else image.convert("RGBA")
        return _encode(shown, wanted, quality=quality), f"image/{wanted}"


def only_rgb(source: Path) -> bytes:
    """The picture without its alpha, as PNG. Raises BadRequest."""
    with _open(source) as image:
        return _encode(image.convert("RGB"), "png")


def only_alpha(source: Path) -> bytes:
    """A transparent picture that carries the alpha alone, as PNG. Raises BadRequest."""
    with _open(source) as image:
        alpha = image.convert("RGBA").getchannel("A")
    shown = Image.new("RGBA", alpha.size)
    shown.putalpha(alpha)
    return _encode(shown, "png")


def masked(original: Path, mask: Path) -> bytes:
    """The original's colours under the mask's alpha, as PNG with the original's texts.

    Raises:
        BadRequest: one of them is no picture, or their sizes differ.
    """
    with _open(original) as image:
        texts = PngImagePlugin.PngInfo()
        for key, text in getattr(image, "text", {}).items():
            texts.add_text(key, text)
        base = image.convert("RGBA")
    with _open(mask) as drawn:
        alpha = drawn.convert("RGBA").getchannel("A")
    if alpha.size != base.size:
        raise BadRequest(f"The mask is {alpha.size}, the picture {base.size}; they must agree.")
    base.putalpha(alpha)
    out = io.BytesIO()
    base.save(out, "png", compress_level=_COMPRESS_LEVEL, pnginfo=texts)
    return out.getvalue()


def _open(source: Path) -> ImageFile.ImageFile:
    try:
        opened = Image.open(source)
        width, height = opened.size
        if width * height > MAX_PIXELS:
            opened.close()
            raise BadRequest(f"The picture has {width}×{height} pixels; {MAX_PIXELS} are allowed.")
        opened.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadRequest("This file is no picture that can be shown.") from error
    return opened


def _encode(image: Image.Image, kind: str, quality: int | None = None) -> bytes:
    out = io.BytesIO()
    if quality is None:
        image.save(out, kind)
    else:
        image.save(out, kind, quality=quality)
    return out.getvalue()
