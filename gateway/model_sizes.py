"""How large the workers' model files are, for estimates before a first run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

#: folders of packs whose loaders name a file as if it lay in one of the core's
_SAME_AS: Final = {"unet_gguf": "diffusion_models", "clip_gguf": "text_encoders"}
#: where a graph's reader puts a file that an unknown loader names
_ANYWHERE: Final = "other"


def by_model(folders: Mapping[str, Iterable[Any]]) -> dict[str, int]:
    """Bytes by ``folder/name``; of several files of one name the largest.

    Args:
        folders: ``/experiment/models/{folder}`` of all workers, by folder.
    """
    found: dict[str, int] = {}
    for folder, entries in folders.items():
        for entry in entries:
            name, size = _name_and_size(entry)
            if size > 0:
                for place in {folder, _SAME_AS.get(folder, folder), _ANYWHERE}:
                    key = f"{place}/{name}"
                    found[key] = max(size, found.get(key, 0))
    return found


def _name_and_size(entry: Any) -> tuple[str, int]:
    match entry:
        case {"name": str(name), "size": int(size)}:
            return name, size
        case _:
            return "", 0
