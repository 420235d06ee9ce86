"""What ``/object_info`` says of a node class, read once per class and tolerant of gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Type of a combo whose choices stand in its options, as schema-based nodes declare it.
COMBO = "COMBO"

#: Newer servers mark inputs that expand into several (``images.image0``) by such a type.
_DYNAMIC_PREFIX = "COMFY_"
_DYNAMIC_SUFFIX = "_V3"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One declared input of a node class."""

    name: str
    #: a type name (``INT``, ``IMAGE,MASK``, ``*``), or the list of a combo's choices
    type: Any
    options: Mapping[str, Any]
    required: bool

    @property
    def config(self) -> list[Any]:
        """``[type, options]``, as error answers quote it."""
        return [self.type, self.options]

    @property
    def choices(self) -> list[Any] | None:
        """What a combo allows. None: not a combo, or only its client knows the choices."""
        if isinstance(self.type, list):
            return self.type
        if self.type != COMBO or "remote" in self.options or "remote_combo" in self.options:
            return None
        listed = self.options.get("options")
        return listed if isinstance(listed, list) else None

    @property
    def dynamic(self) -> bool:
        """Whether it stands for inputs that are named ``<name>.<part>`` in a prompt."""
        return (
            isinstance(self.type, str)
            and self.type.startswith(_DYNAMIC_PREFIX)
            and self.type.endswith(_DYNAMIC_SUFFIX)
        )


@dataclass(frozen=True, slots=True)
class NodeClass:
    """One class of nodes: what goes in, what comes out."""

    name: str
    #: required ones first, then optional ones, each in declared order; hidden ones left out
    inputs: tuple[InputSpec, ...]
    returns: tuple[Any, ...]
    is_output: bool
    #: computed by a remote service, not on the worker
    is_api: bool
    #: where its code lives: ``nodes``, ``comfy_extras.…``, ``custom_nodes.<pack>``, "" unknown
    module: str

    @property
    def of_pack(self) -> bool:
        """Whether it comes with a node pack."""
        return self.module.startswith("custom_nodes.")


def read_node_class(name: str, info: Any) -> NodeClass:
    """Reads one entry of ``/object_info``; what is missing counts as empty."""
    entry = info if isinstance(info, Mapping) else {}
    declared = entry.get("input")
    sections = declared if isinstance(declared, Mapping) else {}
    inputs: dict[str, InputSpec] = {}
    for section in ("required", "optional"):
        named = sections.get(section)
        for key, config in (named if isinstance(named, Mapping) else {}).items():
            inputs.setdefault(key, _read_input(key, config, required=section == "required"))
    outputs = entry.get("output")
    return NodeClass(
        name=name,
        inputs=tuple(inputs.values()),
        returns=tuple(outputs) if isinstance(outputs, list | tuple) else (),
        is_output=entry.get("output_node") is True,
        is_api=entry.get("api_node") is True,
        module=str(entry.get("python_module", "")),
    )


class Described(dict[str, Any]):
    """``/object_info`` whose classes are read once each; not to be changed once it is made."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        super().__init__(info)
        self._read: dict[str, NodeClass] = {}

    def node_class(self, name: str) -> NodeClass:
        """The class of that name; what is not described counts as empty, and is not kept."""
        found = self._read.get(name)
        if found is None:
            found = read_node_class(name, self.get(name))
            if name in self:
                self._read[name] = found
        return found


def node_class_of(object_info: Mapping[str, Any], name: str) -> NodeClass:
    """The class of that name, read once where somebody keeps it (``Described``)."""
    if isinstance(object_info, Described):
        return object_info.node_class(name)
    return read_node_class(name, object_info.get(name))


def _read_input(name: str, config: Any, *, required: bool) -> InputSpec:
    parts = config if isinstance(config, list | tuple) else [config]
    kind = parts[0] if parts else "*"
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], Mapping) else {}
    return InputSpec(name, list(kind) if isinstance(kind, tuple) else kind, options, required)


def types_match(received: Any, wanted: Any) -> bool:
    """Whether a link may carry ``received`` into an input of type ``wanted``.

    Types are names, unions of names (``IMAGE,MASK``: one in common is enough),
    the wildcard ``*``, or a combo's list, which only an equal list matches.
    """
    if bool(received == wanted):
        return True
    if not isinstance(received, str) or not isinstance(wanted, str):
        return "*" in (received, wanted)
    offered = {name.strip() for name in received.split(",")}
    accepted = {name.strip() for name in wanted.split(",")}
    return "*" in offered or "*" in accepted or not offered.isdisjoint(accepted)
