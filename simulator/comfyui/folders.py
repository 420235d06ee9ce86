"""Where a worker keeps files, and what it may touch."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image

from simulator.comfyui.catalog import FOLDERS

#: ``type`` of a file on the wire; each is a directory of the worker.
FILE_TYPES = ("input", "output", "temp")
_IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tiff"}


class Folders:
    """The directories of one worker.

    ``input``, ``output`` and ``user`` survive a restart; ``temp`` is wiped.
    """

    def __init__(self, data_dir: Path) -> None:
        self.base = data_dir.resolve()
        for name in ("input", "output"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        self.wipe_temp()
        example = self.base / "input" / "example.png"
        if not example.exists():
            # A fresh ComfyUI checkout brings one picture of this name.
            Image.new("RGB", (512, 512), (96, 128, 160)).save(example)

    @property
    def output(self) -> Path:
        """Where finished pictures go."""
        return self.base / "output"

    @property
    def user(self) -> Path:
        """Settings and workflows of the one user; appears with the first write."""
        return self.base / "user" / "default"

    def of_type(self, file_type: str) -> Path | None:
        """The directory of a file type; None for an unknown type."""
        return self.base / file_type if file_type in FILE_TYPES else None

    def wipe_temp(self) -> None:
        """Empty ``temp``, as ComfyUI does when it starts and stops."""
        shutil.rmtree(self.base / "temp", ignore_errors=True)

    def annotated(self, name: str) -> tuple[str, Path | None]:
        """Split ``x.png [input]`` into the name and the directory it asks for."""
        for file_type in FILE_TYPES:
            suffix = f"[{file_type}]"
            if name.endswith(suffix):
                return name[: -len(suffix) - 1], self.base / file_type
        return name, None

    def resolve(self, name: str) -> Path:
        """The file that an image input names; ``input`` unless it says otherwise."""
        plain, directory = self.annotated(name)
        return (directory or self.base / "input") / plain

    def exists(self, kind: str, name: str) -> bool:
        """Whether an image input of this kind names a file."""
        plain, directory = self.annotated(name)
        root = directory or self.of_type(kind) or self.base / "input"
        return (root / plain).exists()

    def input_images(self) -> list[str]:
        """Top-level pictures in ``input``, as the LoadImage combo lists them."""
        return sorted(
            path.name
            for path in (self.base / "input").iterdir()
            if path.suffix.lower() in _IMAGES and path.is_file()
        )

    def latents(self) -> list[str]:
        """Top-level latents in ``input``, as the LoadLatent combo lists them."""
        return sorted(path.name for path in (self.base / "input").glob("*.latent"))

    def newest_first(self, file_type: str) -> list[str] | None:
        """Top-level file names of a type, newest first; None for an unknown type."""
        directory = self.of_type(file_type)
        if directory is None:
            return None
        if not directory.exists():
            return []
        files = [path for path in directory.iterdir() if path.is_file()]
        return [path.name for path in sorted(files, key=lambda p: -p.stat().st_mtime_ns)]

    def model_paths(self) -> dict[str, list[str]]:
        """Where models would lie, by folder."""
        return {folder: [str(self.base / "models" / folder)] for folder in FOLDERS}


def is_inside(path: Path, directory: Path) -> bool:
    """Whether a path stays below a directory once ``..`` is resolved."""
    return path.resolve().is_relative_to(directory.resolve())
