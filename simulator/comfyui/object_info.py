"""The node definitions a worker offers, with its own files in the combos."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from simulator.comfyui.catalog import Catalog
from simulator.comfyui.folders import Folders
from simulator.comfyui.nodes_lab import LAB_DEFINITIONS


class ObjectInfo:
    """``/object_info`` of one worker.

    ``object_info.json`` holds the definitions without the file lists; an input
    type that starts with ``@`` names the list to put there.
    """

    def __init__(self, catalog: Catalog, folders: Folders, *, lab_nodes: bool) -> None:
        self._folders = folders
        self._lists = {f"@{file.folder}": catalog.names(file.folder) for file in catalog.files}
        self._lists.setdefault("@vae", [])
        # VAELoader offers this pseudo model even without any file.
        self._lists["@vae"] = [*self._lists["@vae"], "pixel_space"]
        self._templates = dict(_templates())
        if lab_nodes:
            self._templates |= LAB_DEFINITIONS
        self._made: tuple[tuple[list[str], list[str]], dict[str, Any]] | None = None

    def all(self) -> Mapping[str, Any]:
        """Every definition; made anew only when input files came or went."""
        files = (self._folders.input_images(), self._folders.latents())
        if self._made is None or self._made[0] != files:
            lists = {**self._lists, "@input": files[0], "@latents": files[1]}
            made = {
                name: _definition(name, template, lists)
                for name, template in self._templates.items()
            }
            self._made = (files, made)
        return self._made[1]


@cache
def _templates() -> dict[str, Any]:
    text = resources.files("simulator.comfyui").joinpath("object_info.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def _definition(
    name: str, template: dict[str, Any], lists: Mapping[str, list[str]]
) -> dict[str, Any]:
    sections = {
        section: {key: _with_list(config, lists) for key, config in inputs.items()}
        for section, inputs in template["input"].items()
    }
    return {
        "input": sections,
        "input_order": {section: list(inputs) for section, inputs in sections.items()},
        "output": template["output"],
        "output_is_list": template["output_is_list"],
        "output_name": template["output_name"],
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": template["python_module"],
        "category": template["category"],
        "output_node": template["output_node"],
        **{key: template[key] for key in ("deprecated", "experimental") if key in template},
    }


def _with_list(config: Any, lists: Mapping[str, list[str]]) -> Any:
    # Hidden inputs are plain strings.
    if not isinstance(config, list) or not isinstance(config[0], str) or config[0][:1] != "@":
        return config
    return [lists.get(config[0], []), *(config[1:] or [{}])]
