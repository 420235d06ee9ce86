"""Rows of the routes that are the admins'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def for_admins(api: str, Try: Callable[..., Any]) -> dict[tuple[str, str], list[Any]]:
    """What admins do; everybody else is refused before anything is looked up."""
    limit = f"{api}/limits/values"
    seen = {"If-Match": "0"}
    return {
        ("GET", f"{api}/upkeep"): [Try(f"{api}/upkeep")],
        ("POST", f"{api}/upkeep/rolling"): [],
        ("POST", f"{api}/upkeep/of/{{name}}/{{action}}"): [
            Try(f"{api}/upkeep/of/nobody/{action}") for action in ("drain", "undrain", "restart")
        ],
        ("GET", f"{api}/upkeep/of/{{name}}/log"): [Try(f"{api}/upkeep/of/host-0/log?lines=10")],
        ("GET", f"{api}/limits"): [Try(f"{api}/limits")],
        ("GET", f"{api}/limits/changes"): [Try(f"{api}/limits/changes?path=users.ann.weight")],
        ("GET", f"{api}/limits/export"): [Try(f"{api}/limits/export")],
        ("PUT", f"{limit}/{{path}}"): [
            Try(f"{limit}/users.ann.weight", json={"value": 2}, more=seen),
            Try(f"{limit}/users.ann.key_hash", json={"value": "blake2b:00"}, more=seen),
        ],
        ("DELETE", f"{limit}/{{path}}"): [Try(f"{limit}/users.ann.weight", more=seen)],
        ("GET", f"{api}/maintenance"): [Try(f"{api}/maintenance")],
        ("PUT", f"{api}/maintenance"): [
            Try(f"{api}/maintenance", json={"on": False, "message": "x"})
        ],
        ("GET", f"{api}/audit"): [Try(f"{api}/audit"), Try(f"{api}/audit?subject=user:ann")],
        ("GET", f"{api}/audit/export"): [Try(f"{api}/audit/export?format=csv")],
        ("POST", f"{api}/users/{{name}}/forget"): [
            Try(f"{api}/users/ann/forget", json={"confirm": "mallory"}),
            Try(f"{api}/users/ann/forget"),
        ],
    }
