"""Keys: how they are made, kept as digests, and found again.

The ring holds digests only. Look-ups go through a digest keyed with a secret of this
process, so that neither a dictionary's timing nor a dump of it tells anything about a key.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import msgspec
import structlog
from pydantic import ValidationError

from config.settings import Role, User

_PREFIX: Final = "blake2b:"
_DIGEST_BYTES: Final = 32
_FIELDS: Final = ("key_hash", "url_key_hash", "revoked")
log = structlog.get_logger()


def hash_key(key: str) -> str:
    """``blake2b:<hex>`` of a key, as the config file and the overrides keep it.

    Keys are random (``mint_key``), so a fast digest is enough: there is nothing to guess.
    """
    return (
        _PREFIX
        + blake2b(key.encode("utf-8", "surrogateescape"), digest_size=_DIGEST_BYTES).hexdigest()
    )


def mint_key() -> str:
    """A fresh key: 256 random bits, fit for a header and for a URL."""
    return secrets.token_urlsafe(32)


class KeyKind(StrEnum):
    """Which of a user's two keys."""

    #: for headers, ``?token=`` and the login page
    API = "a"
    #: for the personal URL ``/k/<key>/`` only
    URL = "u"


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a key belongs to. ``stamp`` is the key's digest: sessions are bound to it."""

    user: str
    group: str
    role: Role
    kind: KeyKind
    stamp: str


class KeyRing:
    """All keys that are valid under one revision of settings and overrides."""

    def __init__(self, users: Iterable[User], overrides: Mapping[str, str]) -> None:
        self._pepper = secrets.token_bytes(32)
        self._users = effective_users(users, overrides)
        self._holders: dict[tuple[KeyKind, bytes], Holder] = {}
        self._of_user: dict[tuple[str, KeyKind], Holder] = {}
        for user in self._users.values():
            self._add(user, KeyKind.API, user.key_hash)
            self._add(user, KeyKind.URL, user.url_key_hash)

    def find(self, key: str, kind: KeyKind) -> Holder | None:
        """Who holds this key, or None. A key of the other kind is not found."""
        digest = hash_key(key)
        holder = self._holders.get((kind, self._blind(digest)))
        if holder is None or not hmac.compare_digest(holder.stamp, digest):
            return None
        return holder

    def holds(self, user: str, stamp: str) -> bool:
        """Whether the key with this digest is still one of the user's."""
        of_user = (self._of_user.get((user, kind)) for kind in KeyKind)
        return any(holder is not None and holder.stamp == stamp for holder in of_user)

    def holder(self, user: str, kind: KeyKind) -> Holder | None:
        """The user's present key of that kind (for sessions), or None."""
        return self._of_user.get((user, kind))

    def user(self, name: str) -> User | None:
        """The user as settings and overrides together say; revoked users are None."""
        return self._users.get(name)

    def _add(self, user: User, kind: KeyKind, digest: str | None) -> None:
        if digest is None:
            return
        stamp = digest.strip().lower()
        holder = Holder(user.name, user.group, user.role, kind, stamp)
        self._holders[kind, self._blind(stamp)] = holder
        self._of_user[user.name, kind] = holder

    def _blind(self, digest: str) -> bytes:
        return blake2b(digest.encode(), digest_size=16, key=self._pepper).digest()


def effective_users(users: Iterable[User], overrides: Mapping[str, str]) -> dict[str, User]:
    """Users by name, digests in place of plain keys, overrides applied, revoked ones left out."""
    whole, fields = _read_overrides(overrides)
    merged = {user.name: user for user in users} | whole
    found: dict[str, User] = {}
    for name, user in merged.items():
        own = fields.get(name, {})
        if own.get("revoked") is True:
            continue
        found[name] = user.model_copy(
            update={
                "key": None,
                "url_key": None,
                "key_hash": _digest(own.get("key_hash"), user.key, user.key_hash),
                "url_key_hash": _digest(own.get("url_key_hash"), user.url_key, user.url_key_hash),
            }
        )
    return found


def _digest(override: Any, plain: str | None, hashed: str | None) -> str | None:
    if isinstance(override, str):
        return override or None
    return hash_key(plain) if plain is not None else hashed


def _read_overrides(
    overrides: Mapping[str, str],
) -> tuple[dict[str, User], dict[str, dict[str, Any]]]:
    """``users.<name>`` objects and ``users.<name>.<field>`` values.

    Names may hold dots; a whole user is a JSON object and a field never is, so the
    value tells which of the two a path means.
    """
    whole: dict[str, User] = {}
    fields: dict[str, dict[str, Any]] = {}
    for path, text in overrides.items():
        if not path.startswith("users."):
            continue
        rest = path.removeprefix("users.")
        try:
            value = msgspec.json.decode(text)
            if isinstance(value, dict):
                whole[rest] = User.model_validate({**value, "name": rest})
                continue
        except (msgspec.DecodeError, ValidationError):
            # the text may hold a key: the log names the path alone
            log.error("override_unreadable", path=path)
            continue
        name, _, field = rest.rpartition(".")
        if name and field in _FIELDS:
            fields.setdefault(name, {})[field] = value
    return whole, fields
