"""Node classes that an admin denies some users: refused in prompts, and not listed (pure).

A class is judged by its name in the graph. What a node makes of itself while it runs (a
subgraph that it expands to) is the worker's business: docs/packs.md says what that means.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from config.roles import Role
from config.settings import Settings
from scheduler.workflow.validation import Validation

#: patterns in small letters, as ``patterns`` makes them; none: nothing is denied
Patterns = tuple[str, ...]


def patterns(settings: Settings, role: Role, group: str) -> Patterns:
    """What a user of that role and group is denied."""
    return tuple(
        sorted(
            {
                pattern.lower()
                for rule in settings.nodes.deny
                if role in rule.roles and (not rule.groups or group in rule.groups)
                for pattern in rule.classes
            }
        )
    )


def is_denied(class_type: str, denied: Patterns) -> bool:
    """Whether a class is among them."""
    name = class_type.lower()
    return any(fnmatchcase(name, pattern) for pattern in denied)


def without(object_info: Mapping[str, Any], denied: Patterns) -> Mapping[str, Any]:
    """Definitions as such a user may see them."""
    if not denied:
        return object_info
    return {name: node for name, node in object_info.items() if not is_denied(name, denied)}


def refuse(prompt: Mapping[str, Any], denied: Patterns) -> Validation | None:
    """The refusal of a prompt that holds such nodes, in ComfyUI's shape; None: it holds none."""
    found = {
        node_id: str(node["class_type"])
        for node_id, node in (prompt.items() if denied else ())
        if isinstance(node, dict) and is_denied(str(node.get("class_type")), denied)
    }
    if not found:
        return None
    named = ", ".join(sorted(set(found.values())))
    message = "This prompt holds nodes that you may not use"
    details = f"{named}: take them out, or ask the admin (nodes.deny)."
    error = {"type": "node_denied", "message": message, "details": details, "extra_info": {}}
    node_errors = {node_id: _node_error(class_type) for node_id, class_type in found.items()}
    return Validation(ok=False, error=error, node_errors=node_errors, outputs=(), prompt={})


def _node_error(class_type: str) -> dict[str, Any]:
    reason = {
        "type": "node_denied",
        "message": "You may not use this node",
        "details": f"{class_type}: ask the admin (nodes.deny).",
        "extra_info": {},
    }
    return {"errors": [reason], "dependent_outputs": [], "class_type": class_type}
