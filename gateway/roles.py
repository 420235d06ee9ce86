"""What a role may not do, whatever the route (pure)."""

from __future__ import annotations

from typing import Final

from config.settings import Role
from gateway.browser_rules import SAFE_METHODS
from gateway.errors import Forbidden

#: a viewer's own settings and workflows; and what judges viewers itself, in its own words
_VIEWERS_MAY: Final = (
    "/settings",
    "/userdata",
    "/internal/logs",
    "/prompt",
    "/upload/",
    "/dashboard/",
)


def refuse_viewer(role: Role, method: str, path: str) -> None:
    """A viewer looks, and keeps settings of its own; new routes are closed until listed.

    Raises:
        Forbidden: a viewer would change something.
    """
    if role is not Role.VIEWER or method in SAFE_METHODS:
        return
    bare = path.removeprefix("/api")
    if not any(bare == one or bare.startswith(one.rstrip("/") + "/") for one in _VIEWERS_MAY):
        raise Forbidden("Viewers only look; ask your admin for the role artist.")
