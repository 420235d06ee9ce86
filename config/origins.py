"""Where a setting's value comes from, for a path with names in place of numbers in lists."""

from __future__ import annotations

from config.loading import Loaded


def origin_of(loaded: Loaded, path: str) -> str:
    """``vramgate.yaml:12``, ``VRAMGATE_…``, an option's name; "" for a default.

    Args:
        loaded: what was read.
        path: as edits have it, for example ``users.anna.weight``.
    """
    kind, _, rest = path.partition(".")
    if kind not in ("users", "groups"):
        return loaded.origins.get(path, "")
    name, _, field = rest.rpartition(".")
    for at, one in enumerate(getattr(loaded.settings, kind)):
        if one.name == name:
            return loaded.origins.get(f"{kind}[{at}].{field}", "")
    return ""
