"""YAML with a memory: every value knows its line, so that a mistake can be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from config.problems import ConfigError, Problem

#: A settings file is four levels deep; more is an alias that names itself.
_DEEPEST: Final = 20
_TAGS_OF_TEXT: Final = frozenset({"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:binary"})

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """The data of a file and where each of it stands."""

    data: dict[str, Any] = field(default_factory=dict)
    #: path of a key or list item → its line, counted from 1
    lines: dict[Path, int] = field(default_factory=dict)


def read_yaml(text: str, name: str) -> Document:
    """Parse one file; an empty one is an empty mapping.

    Raises:
        ConfigError: no YAML, a key twice, or no mapping at the top.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError([Problem(where, "", f"no valid YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(name, "", f"no valid YAML: {error}")]) from error
    if root is None:
        return Document()
    reader = _Reader(name)
    data = reader.value(root, ())
    if not isinstance(data, dict):
        reader.problems.append(
            Problem(f"{name}:1", "", "the file must hold sections, for example `gateway:`")
        )
    if reader.problems:
        raise ConfigError(reader.problems)
    return Document(data, reader.lines)


class _Reader:
    """Turns nodes into data and keeps lines and problems."""

    def __init__(self, name: str) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._name = name
        self._constructor = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Path) -> Any:
        if len(path) > _DEEPEST:
            self._complain(node, path, "nested too deeply; does an alias name itself?")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(child, (*path, at)) for at, child in enumerate(node.value)]
        if node.tag in _TAGS_OF_TEXT:  # no setting is a date: `2024-01-01` is a name
            return node.value
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._complain(node, path, f"no plain value: {error}")
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._constructor.flatten_mapping(node)
        data: dict[str, Any] = {}
        for key_node, child in node.value:
            key = str(key_node.value)
            here = (*path, key)
            if key in data:
                first = self.lines[here]
                self._complain(key_node, here, f"is already set on line {first}; keep one of them")
                continue
            self.lines[here] = key_node.start_mark.line + 1
            data[key] = self.value(child, here)
        return data

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        return self.value(node, path)

    def _complain(self, node: yaml.Node, path: Path, message: str) -> None:
        where = f"{self._name}:{node.start_mark.line + 1}"
        self.problems.append(Problem(where, dotted(path), message))


def dotted(path: Path) -> str:
    """``("users", 2, "role")`` → ``users[2].role``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
