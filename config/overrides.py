"""What admins changed while the system runs: kept in the ledger, above the file.

Paths: ``users.<name>`` holds a whole user as JSON; ``users.<name>.key_hash``,
``.url_key_hash`` and ``.revoked`` change one field. Names may hold dots; a whole
user is a JSON object and a field never is, so the value tells which is meant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog
from pydantic import ValidationError

from config.settings import Settings, User

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Person:
    """A user as file and overrides together say."""

    user: User
    #: from an override, not from the file
    added: bool = False
    revoked: bool = False
    has_key: bool = False
    has_url_key: bool = False


def people(settings: Settings, overrides: Mapping[str, str]) -> dict[str, Person]:
    """All users by name, revoked ones included."""
    found = {user.name: _person(user, added=False) for user in settings.users}
    fields: dict[tuple[str, str], object] = {}
    for path, text in overrides.items():
        if not path.startswith("users."):
            continue
        rest = path.removeprefix("users.")
        try:
            value = json.loads(text)
            if isinstance(value, dict):
                found[rest] = _person(User.model_validate({**value, "name": rest}), added=True)
                continue
        except (ValueError, ValidationError):
            # the text may hold a key: the log names the path alone
            log.error("override_unreadable", path=path)
            continue
        name, _, field = rest.rpartition(".")
        fields[name, field] = value
    for (name, field), value in fields.items():
        if name in found:
            found[name] = _with_field(found[name], field, value)
    return found


def with_users(settings: Settings, overrides: Mapping[str, str]) -> Settings:
    """The settings with the users that overrides add; keys are the gateway's business."""
    users = tuple(person.user for person in people(settings, overrides).values())
    return settings if users == settings.users else settings.model_copy(update={"users": users})


def _person(user: User, *, added: bool) -> Person:
    return Person(
        user,
        added=added,
        has_key=bool(user.key or user.key_hash),
        has_url_key=bool(user.url_key or user.url_key_hash),
    )


def _with_field(person: Person, field: str, value: object) -> Person:
    match field:
        case "revoked":
            return replace(person, revoked=value is True)
        case "key_hash":
            return replace(person, has_key=bool(value))
        case "url_key_hash":
            return replace(person, has_url_key=bool(value))
    return person
