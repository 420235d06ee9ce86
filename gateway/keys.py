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
from typing import Final

from config.overrides import people
from config.settings import Role, User

_PREFIX: Final = "blake2b:"
_DIGEST_BYTES: Final = 32


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
        self._holders: dict[tuple[KeyKind, bytes], Holder] = {}
        self._of_user: dict[tuple[str, KeyKind], Holder] = {}
        for user in valid_users(users, overrides).values():
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
        return self.holder_of(user, stamp) is not None

    def holder_of(self, user: str, stamp: str) -> Holder | None:
        """The user's key with this digest, or None where it is no longer valid."""
        of_user = (self._of_user.get((user, kind)) for kind in KeyKind)
        return next((one for one in of_user if one is not None and one.stamp == stamp), None)

    def holder(self, user: str, kind: KeyKind) -> Holder | None:
        """The user's present key of that kind (for sessions), or None."""
        return self._of_user.get((user, kind))

    def _add(self, user: User, kind: KeyKind, digest: str | None) -> None:
        if digest is None:
            return
        stamp = digest.strip().lower()
        holder = Holder(user.name, user.group, user.role, kind, stamp)
        self._holders[kind, self._blind(stamp)] = holder
        self._of_user[user.name, kind] = holder

    def _blind(self, digest: str) -> bytes:
        return blake2b(digest.encode(), digest_size=16, key=self._pepper).digest()


def valid_users(users: Iterable[User], overrides: Mapping[str, str]) -> dict[str, User]:
    """Users by name, digests in place of plain keys, overrides applied, revoked ones left out."""
    return {
        name: _hashed(person.user)
        for name, person in people(users, overrides).items()
        if not person.revoked
    }


def _hashed(user: User) -> User:
    return user.model_copy(
        update={
            "key": None,
            "url_key": None,
            "key_hash": hash_key(user.key) if user.key is not None else user.key_hash,
            "url_key_hash": hash_key(user.url_key)
            if user.url_key is not None
            else user.url_key_hash,
        }
    )
