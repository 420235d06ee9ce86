"""What kind of file a name means, the same on every host.

Python asks the system's table (``/etc/mime.types``) too, which small containers do not have,
and knows neither WebP nor FLAC by itself: what a user sees must not depend on that.
"""

from __future__ import annotations

import mimetypes
from typing import Final

#: by suffix, beyond Python's own: what nodes load and save
_MORE: Final = {
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".jxl": "image/jxl",
    ".exr": "image/x-exr",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".m4a": "audio/mp4",
    ".weba": "audio/webm",
    ".ogv": "video/ogg",
    ".m4v": "video/x-m4v",
    ".mkv": "video/x-matroska",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".obj": "model/obj",
    ".stl": "model/stl",
    ".md": "text/markdown",
}


def _table() -> mimetypes.MimeTypes:
    table = mimetypes.MimeTypes()
    for suffix, kind in _MORE.items():
        table.add_type(kind, suffix)
    return table


_TABLE: Final = _table()


def media_type(name: str) -> str | None:
    """The media type that a file of this name should have; None: nobody knows."""
    return _TABLE.guess_type(name)[0]
