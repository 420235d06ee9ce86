"""What admins changed while the system runs: kept in the ledger, above the file.

Paths: ``users.<name>`` holds a whole user as JSON; ``users.<name>.key_hash``,
``.url_key_hash``, ``.revoked`` and limits (``.weight`` and so on) change one field. Names may hold dots; a whole
user is a JSON object and a field never is, so the value tells which is meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog
from pydantic import ValidationError

from config.settings import User

log = structlog.get_logger()
#: what admins may change of a user (``config.edits``)
LIMITS: Final = (
    "weight",
    "max_running",
    "max_queued",
    "vram_share",
    "budget",
    "budget_soft",
    "workers",
    "max_bytes",
    "upload_quota",
    "output_quota",
)


@dataclass(frozen=True, slots=True)
class Person:
    """A user as file and overrides together say, keys included."""

    user: User
    #: from an override, not from the file
    added: bool = False
    revoked: bool = False

    @property
    def has_key(self) -> bool:
        """Whether there is an API key, valid unless ``revoked``."""
        return bool(self.user.key or self.user.key_hash)

    @property
    def has_url_key(self) -> bool:
        """The same of the personal URL's key."""
        return bool(self.user.url_key or self.user.url_key_hash)


def people(users: Iterable[User], overrides: Mapping[str, str]) -> dict[str, Person]:
    """All users by name, revoked ones included.

    Args:
        users: of the config file.
        overrides: dotted path → JSON text.
    """
    found = {user.name: Person(user) for user in users}
    fields: dict[tuple[str, str], object] = {}
    for path, text in overrides.items():
        if not path.startswith("users."):
            continue
        rest = path.removeprefix("users.")
        try:
            value = json.loads(text)
            if isinstance(value, dict):
                found[rest] = Person(User.model_validate({**value, "name": rest}), added=True)
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


def locked_out(overrides: Mapping[str, str]) -> frozenset[str]:
    """Names that overrides revoke, whether or not the file knows them."""
    return frozenset(
        path.removeprefix("users.").removesuffix(".revoked")
        for path, text in overrides.items()
        if path.startswith("users.") and path.endswith(".revoked") and text == "true"
    )


def _with_field(person: Person, field: str, value: object) -> Person:
    match field, value:
        case "revoked", _:
            return replace(person, revoked=value is True)
        case "key_hash", str():
            changes = {"key": None, "key_hash": value or None}
        case "url_key_hash", str():
            changes = {"url_key": None, "url_key_hash": value or None}
        case _, _ if field in LIMITS:
            return replace(person, user=_with_limit(person.user, field, value))
        case _:
            return person
    return replace(person, user=person.user.model_copy(update=changes))


def _with_limit(user: User, field: str, value: object) -> User:
    kept = {name: getattr(user, name) for name in User.model_fields}
    try:
        return User.model_validate({**kept, field: value})
    except ValidationError:  # of another release
        log.error("override_unreadable", path=f"users.{user.name}.{field}")
        return user
