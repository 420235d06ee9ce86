"""Where ``filename_prefix`` leads, and PNG files with ComfyUI's metadata."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo


@dataclass(frozen=True, slots=True)
class SavePlace:
    """A folder, a name and the next free number in it."""

    folder: Path
    subfolder: str
    name: str
    counter: int

    def file_name(self, offset: int, suffix: str) -> str:
        """The name of the entry ``offset`` of the batch."""
        name = self.name.replace("%batch_num%", str(offset))
        return f"{name}_{self.counter + offset:05}_{suffix}"


def save_place(root: Path, prefix: str, width: int, height: int) -> SavePlace:
    """Expand a prefix and find the next number: the highest there, plus one.

    Raises:
        Exception: The prefix leads out of ``root``; worded as ComfyUI does.
    """
    normal = os.path.normpath(_expanded(prefix, width, height))
    subfolder, name = os.path.split(normal)
    folder = os.path.abspath(root / subfolder)
    common = os.path.commonpath((root, folder))
    if common != str(root):
        raise Exception(
            "**** ERROR: Saving image outside the output folder is not allowed."
            f"\n full_output_folder: {folder}\n         output_dir: {root}"
            f"\n         commonpath: {common}"
        )
    os.makedirs(folder, exist_ok=True)
    return SavePlace(Path(folder), subfolder, name, _highest(folder, name) + 1)


def png_info(prompt: Mapping[str, Any], extra: Mapping[str, Any]) -> PngInfo:
    """The text chunks that ComfyUI writes: the prompt and what the client sent along."""
    info = PngInfo()
    info.add_text("prompt", json.dumps(prompt))
    for key, value in extra.items():
        info.add_text(key, json.dumps(value))
    return info


def save_png(image: Image.Image, path: Path, info: PngInfo, compress_level: int) -> None:
    """Write one picture."""
    image.save(path, format="PNG", pnginfo=info, compress_level=compress_level)


def _expanded(prefix: str, width: int, height: int) -> str:
    if "%" not in prefix:
        return prefix
    now = time.localtime()
    values = {
        "%width%": str(width),
        "%height%": str(height),
        "%year%": str(now.tm_year),
        "%month%": f"{now.tm_mon:02}",
        "%day%": f"{now.tm_mday:02}",
        "%hour%": f"{now.tm_hour:02}",
        "%minute%": f"{now.tm_min:02}",
        "%second%": f"{now.tm_sec:02}",
    }
    for word, value in values.items():
        prefix = prefix.replace(word, value)
    return prefix


def _highest(folder: str, name: str) -> int:
    start = f"{name}_"
    numbers = (
        entry[len(start) :].split("_", 1)[0]
        for entry in os.listdir(folder)
        if entry.startswith(start)
    )
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
