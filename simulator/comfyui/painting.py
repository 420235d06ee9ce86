"""Pictures for nodes that would need a model: the same key paints the same picture."""

from __future__ import annotations

import hashlib
import io

from PIL import Image

#: Colour fields per side; enlarged they look like a soft abstract picture.
_FIELDS = 6
_PREVIEW_SIDE = 96


def paint(key: str, index: int, width: int, height: int) -> Image.Image:
    """The picture of batch entry ``index``, RGB."""
    size = _FIELDS * _FIELDS * 3
    seed = hashlib.shake_128(f"{key}/{index}".encode()).digest(size)
    fields = Image.frombytes("RGB", (_FIELDS, _FIELDS), seed)
    return fields.resize((width, height), Image.Resampling.BICUBIC)


class Previews:
    """Small JPEG pictures that clear up from noise, one per step."""

    def __init__(self, key: str, width: int, height: int) -> None:
        scale = _PREVIEW_SIDE / max(width, height)
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        self._goal = paint(key, 0, *size)
        noise = hashlib.shake_128(key.encode()).digest(size[0] * size[1] * 3)
        self._noise = Image.frombytes("RGB", size, noise)

    def jpeg(self, done: float) -> bytes:
        """How it looks when this share (0…1) of the steps is done."""
        buffer = io.BytesIO()
        Image.blend(self._noise, self._goal, done).save(buffer, "JPEG", quality=80)
        return buffer.getvalue()
