"""What is told of settings that admins may change, as types."""

from __future__ import annotations

from typing import Any, TypedDict


class LimitEdited(TypedDict):
    """Who changed a setting last, and when (ms since 1970)."""

    by: str
    at_ms: int


class LimitValue(TypedDict):
    """One setting: what is in force, and why."""

    path: str
    field: str
    value: Any
    #: what the file says, or the default
    base: Any
    #: ``default``, ``edited``, or where the file says it
    origin: str
    #: null: nobody did, or nobody knows any more
    changed: LimitEdited | None


class LimitsOf(TypedDict):
    """The settings of one user, one group, or the pool (``name`` is "")."""

    name: str
    #: of a user; "" else
    group: str
    role: str
    limits: list[LimitValue]


class LimitField(TypedDict):
    """What a setting is: its type in words, what it does, what it is by default."""

    words: str
    help: str
    default: Any


class Limits(TypedDict):
    """All of them, at one revision."""

    revision: int
    pool: LimitsOf
    groups: list[LimitsOf]
    users: list[LimitsOf]
    #: by field of users and groups, and by path of the pool
    fields: dict[str, LimitField]


class LimitChange(TypedDict):
    """One change; ``after`` null with ``reset``: it was taken back."""

    at_ms: int
    by: str
    path: str
    before: Any
    after: Any
    reset: bool
    revision: int


class LimitChanges(TypedDict):
    """Changes, newest first; ``next``: where the page after begins, null at the end."""

    changes: list[LimitChange]
    next: str | None


class LimitSet(TypedDict):
    """A setting after its change, and the revision that all replicas come to."""

    revision: int
    limit: LimitValue


class Conflict(TypedDict):
    """Somebody else was faster; look at what is there now, at ``revision``."""

    error: str
    revision: int
