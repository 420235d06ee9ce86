"""Settings of node classes: which of them whom is denied."""

from __future__ import annotations

from config.roles import Role
from config.values import Model, Name


class NodeRule(Model):
    """Node classes that some users may not use."""

    classes: tuple[str, ...]
    """Patterns of class names, upper or lower case alike, for example `*Shell*`."""
    roles: tuple[Role, ...] = (Role.ARTIST, Role.VIEWER)
    """Roles that are denied them; the default leaves admins out."""
    groups: tuple[Name, ...] = ()
    """Only users of these groups; empty: of all."""


class Nodes(Model):
    """Node classes."""

    deny: tuple[NodeRule, ...] = ()
    """Prompts with such nodes are refused (400), and `/object_info` does not list them."""
