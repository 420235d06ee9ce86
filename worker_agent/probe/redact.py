"""What leaves the process of an input: numbers as they are, texts hashed or dropped."""

from __future__ import annotations

import math
import secrets
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any

from .settings import Redaction

#: stands for "leave this input out"
DROPPED: Any = object()

#: hex digits of a text's hash
_DIGITS = 12
#: characters of a text that `keep` keeps
_KEPT = 200
#: names whose verdict is remembered
_NAMES = 4096


class Redactor:
    """Applies one ``Redaction``. Equal texts look equal as long as the key is the same."""

    def __init__(self, rules: Redaction, token: str | None) -> None:
        """Without ``token`` the key is random, and hashes mean nothing after this life."""
        self._rules = rules
        self._key = blake2b(token.encode()).digest() if token else secrets.token_bytes(64)
        self._verdicts: dict[str, bool] = {}

    def value(self, name: str, value: Any) -> Any:
        """What may be told of the input ``name``; ``DROPPED`` for nothing."""
        if self._dropped(name):
            return DROPPED
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return self._text(value)
        return DROPPED

    def _text(self, text: str) -> Any:
        if self._rules.texts == "keep":
            return text if len(text) <= _KEPT else text[:_KEPT] + "…"
        if self._rules.texts == "drop":
            return DROPPED
        data = text.encode("utf-8", "surrogatepass")
        return blake2b(data, key=self._key).hexdigest()[:_DIGITS]

    def _dropped(self, name: str) -> bool:
        known = self._verdicts.get(name)
        if known is None:
            if len(self._verdicts) >= _NAMES:  # names can be a prompt's own: no way to fill memory
                self._verdicts.clear()
            low = name.lower()
            known = any(fnmatchcase(low, pattern.lower()) for pattern in self._rules.inputs)
            self._verdicts[name] = known
        return known
