"""Settings that admins change while all runs: which ones, how they are checked, what comes of them.

An edit is an override (``config.overrides``): its path is that of the setting, with names in
place of numbers in lists: ``scheduler.max_running``, ``users.anna.weight``,
``groups.film.budget``. The file is the base; an edit that is taken back leaves what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from config.overrides import LIMITS, people
from config.settings import Group, Settings, User

log = structlog.get_logger()
_M = TypeVar("_M", bound=BaseModel)

#: what may be changed of a user and of a group
USER_FIELDS: Final = LIMITS
GROUP_FIELDS: Final = tuple(name for name in USER_FIELDS if name in Group.model_fields)
#: the same of the pool: what scheduler and gateways alone go by (agents follow their own file)
POOL_PATHS: Final = (
    *(
        f"scheduler.{field}"
        for field in (
            "max_running",
            "max_queued",
            "max_skips",
            "aging",
            "strict_order",
            "explore",
            "cold_loads",
            "preemption",
            "quarantine_failures",
            "quarantine",
            "rhythm",
            "rhythm_lead",
            "rhythm_hold",
            "rhythm_share",
        )
    ),
    "admission.safety_share",
    "admission.safety_min",
    "admission.max_job_bytes",
    "files.upload_quota",
    "files.output_quota",
)
MAINTENANCE: Final = "maintenance"


@dataclass(frozen=True, slots=True)
class Edit:
    """A setting that may be edited."""

    path: str
    #: ``pool``, ``user`` or ``group``
    scope: str
    #: of the user or group; "" for the pool
    name: str
    #: the last part of its path
    field: str


class BadEdit(Exception):
    """What was written is no value of this setting; the message says what would be."""


def edit_of(path: str, settings: Settings) -> Edit | None:
    """What this path changes; None: there is no such setting, user or group, or it is fixed.

    Args:
        path: as overrides have it.
        settings: with all users that there are.
    """
    if path in POOL_PATHS:
        return Edit(path, "pool", "", path.partition(".")[2])
    kind, _, rest = path.partition(".")
    name, _, field = rest.rpartition(".")
    if kind == "users" and field in USER_FIELDS and settings.user(name) is not None:
        return Edit(path, "user", name, field)
    if kind == "groups" and field in GROUP_FIELDS and name in group_names(settings):
        return Edit(path, "group", name, field)
    return None


def group_names(settings: Settings) -> list[str]:
    """Groups that the file describes, and those that users are in."""
    named = {group.name for group in settings.groups}
    return sorted(named | {user.group for user in settings.users})


def value_of(edit: Edit, settings: Settings) -> Any:
    """What is in force, as JSON has it."""
    model = _model(edit, settings)
    return model.model_dump(mode="json").get(edit.field)


def default_of(edit: Edit) -> Any:
    """What is in force where nobody says anything."""
    fresh = Settings()
    kind: BaseModel = {"user": User(name="x"), "group": Group(name="x")}.get(
        edit.scope
    ) or _section(edit, fresh)
    return kind.model_dump(mode="json").get(edit.field)


def checked(edit: Edit, value: Any, settings: Settings) -> str:
    """A value as its override holds it: JSON, in the setting's own units.

    Args:
        edit: which setting.
        value: as somebody wrote it, sizes and durations in words too.
        settings: now in force.

    Raises:
        BadEdit: it is none.
    """
    model = _model(edit, settings)
    try:
        fresh = _with(model, edit.field, value)
    except ValidationError as error:
        detail = next(
            (one for one in error.errors() if edit.field in one["loc"]), error.errors()[0]
        )
        raise BadEdit(f"{edit.path}: {detail['msg'].removeprefix('Value error, ')}") from error
    return json.dumps(fresh.model_dump(mode="json")[edit.field])


def with_edits(settings: Settings, overrides: Mapping[str, str]) -> Settings:
    """The settings with all that admins changed, users of overrides included (revoked ones, too)."""
    users = tuple(person.user for person in people(settings.users, overrides).values())
    merged = settings if users == settings.users else settings.model_copy(update={"users": users})
    return with_limits(merged, overrides)


def with_limits(settings: Settings, overrides: Mapping[str, str]) -> Settings:
    """The same for groups and the pool alone."""
    merged = settings
    for path, value in _read(overrides):
        if path == MAINTENANCE:
            merged = _merged(merged, "", path, value)
        elif path in POOL_PATHS:
            section, _, field = path.partition(".")
            merged = _merged(merged, section, field, value)
        elif path.startswith("groups."):
            merged = _with_group(merged, path, value)
    return merged


def _read(overrides: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for path, text in sorted(overrides.items()):
        if path.startswith(("users.", "drain.", "restart.")):
            continue
        try:
            yield path, json.loads(text)
        except ValueError:
            log.error("override_unreadable", path=path)


def _merged(settings: Settings, section: str, field: str, value: Any) -> Settings:
    try:
        if not section:
            return _with(settings, field, value)
        fresh = _with(getattr(settings, section), field, value)
    except ValidationError:  # of another release
        log.error("override_unreadable", path=f"{section}.{field}".strip("."))
        return settings
    return settings.model_copy(update={section: fresh})


def _with_group(settings: Settings, path: str, value: Any) -> Settings:
    name, _, field = path.removeprefix("groups.").rpartition(".")
    if field not in GROUP_FIELDS:
        return settings
    try:
        fresh = _with(settings.group(name), field, value)
    except ValidationError:
        log.error("override_unreadable", path=path)
        return settings
    others = tuple(group for group in settings.groups if group.name != name)
    return settings.model_copy(update={"groups": (*others, fresh)})


def _model(edit: Edit, settings: Settings) -> BaseModel:
    match edit.scope:
        case "user":
            return settings.user(edit.name) or User(name=edit.name)
        case "group":
            return settings.group(edit.name)
        case _:
            return _section(edit, settings)


def _section(edit: Edit, settings: Settings) -> BaseModel:
    section: BaseModel = getattr(settings, edit.path.partition(".")[0])
    return section


def _with(model: _M, field: str, value: Any) -> _M:
    """Raises ValidationError where the value is none of this field."""
    kept = {name: getattr(model, name) for name in type(model).model_fields}
    return type(model).model_validate({**kept, field: value})
