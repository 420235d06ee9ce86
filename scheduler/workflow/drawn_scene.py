"""Scenes: what a viewer in the browser has drawn of a model, as one value of a prompt (pure).

``Load3D`` and its like have an input of the type ``LOAD_3D`` (``LOAD_3D_ANIMATION``). Its value is
an object with the names of pictures and a film that the browser uploaded, and a camera.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_TYPE: Final = "LOAD_3D"


def is_scene(kind: Any) -> bool:
    """Whether an input of this type (as ``/object_info`` tells it) takes a scene."""
    return isinstance(kind, str) and (kind == _TYPE or kind.startswith(f"{_TYPE}_"))


def pictures_of(scene: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and name of each file of a scene; an empty text names none."""
    for part, value in scene.items():
        if isinstance(value, str) and value:
            yield part, value
