"""Reads a prompt as a graph: the nodes its outputs need, sources before consumers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a prompt; what is malformed counts as absent."""

    id: str
    class_type: str
    inputs: Mapping[str, Any]

    def links(self) -> Iterator[tuple[str, str]]:
        """(input name, id of the node it comes from) of every link, in posted order."""
        for name, value in self.inputs.items():
            source = _linked(value)
            if source is not None:
                yield name, source

    def source(self, name: str) -> str | None:
        """Id of the node that the input comes from; None: it is no link."""
        return _linked(self.inputs.get(name))

    def text(self, name: str) -> str:
        """The input's own text, "" where there is none."""
        value = self.inputs.get(name)
        return value if isinstance(value, str) else ""


def _linked(value: Any) -> str | None:
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
    return value[0] if is_link else None


#: node id → node, each after all that it needs
Graph = Mapping[str, Node]


def read_graph(
    prompt: Mapping[str, Any],
    object_info: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """Returns the nodes that the outputs reach, without recursion; cycles are cut.

    Args:
        prompt: node id → ``{"class_type", "inputs"}``.
        object_info: says which classes are output nodes.
        outputs: the output nodes, where they are known already (``Validation.outputs``).
            With neither, nodes that nobody links to count as outputs.
    """
    nodes = {node_id: _read_node(node_id, node) for node_id, node in prompt.items()}
    wanted = outputs if outputs is not None else _outputs(nodes, object_info)
    ordered: dict[str, Node] = {}
    entered: set[str] = set()
    for output in wanted:
        _visit(output, nodes, entered, ordered)
    return ordered


def _read_node(node_id: str, node: Any) -> Node:
    record = node if isinstance(node, Mapping) else {}
    class_type = record.get("class_type")
    inputs = record.get("inputs")
    return Node(
        node_id,
        class_type if isinstance(class_type, str) else "",
        inputs if isinstance(inputs, Mapping) else {},
    )


def _outputs(nodes: Mapping[str, Node], object_info: Mapping[str, Any] | None) -> Iterable[str]:
    if object_info is None:
        used = {source for node in nodes.values() for _, source in node.links()}
        return [node_id for node_id in nodes if node_id not in used]
    return [node_id for node_id, node in nodes.items() if _is_output(node, object_info)]


def _is_output(node: Node, object_info: Mapping[str, Any]) -> bool:
    entry = object_info.get(node.class_type)
    return isinstance(entry, Mapping) and entry.get("output_node") is True


def _visit(
    root: str, nodes: Mapping[str, Node], entered: set[str], ordered: dict[str, Node]
) -> None:
    if root not in nodes or root in entered:
        return
    entered.add(root)
    path = [(root, nodes[root].links())]
    while path:
        node_id, links = path[-1]
        source = next((of for _, of in links if of in nodes and of not in entered), None)
        if source is None:
            path.pop()
            ordered[node_id] = nodes[node_id]
        else:
            entered.add(source)
            path.append((source, nodes[source].links()))
