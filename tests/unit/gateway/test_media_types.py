from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.media_types import media_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pic.webp", "image/webp"),
        ("pic.PNG", "image/png"),
        ("pic.jpg", "image/jpeg"),
        ("song.flac", "audio/flac"),
        ("song.mp3", "audio/mpeg"),
        ("film.mkv", "video/x-matroska"),
        ("film.mp4", "video/mp4"),
        ("thing.glb", "model/gltf-binary"),
        ("notes.md", "text/markdown"),
        ("weights.safetensors", None),
        ("none", None),
    ],
)
def test_kinds_of_files_that_nodes_load_and_save_are_known(name: str, kind: str | None) -> None:
    assert media_type(name) == kind


def test_they_do_not_depend_on_the_systems_table() -> None:
    ask = (
        "import mimetypes; mimetypes.knownfiles.clear()\n"
        "from gateway.media_types import media_type\n"
        "print(*(media_type('x' + suffix) for suffix in ('.webp', '.flac', '.obj')))"
    )
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["image/webp", "audio/flac", "model/obj"]
