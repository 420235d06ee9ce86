"""Settings with the admins' edits applied, as handlers should see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from config.edits import with_limits
from config.settings import Settings
from gateway.keys import valid_users


class EffectiveSettings:
    """Callable: the settings now in force, what overrides change included."""

    def __init__(self, base: Callable[[], Settings]) -> None:
        self._base = base
        self._overrides: Mapping[str, str] = {}
        self._of: Settings | None = None
        self._merged: Settings | None = None

    def __call__(self) -> Settings:
        """The same object as long as neither file nor overrides change."""
        base = self._base()
        if self._merged is None or self._of is not base:
            users = tuple(valid_users(base.users, self._overrides).values())
            limited = with_limits(base, self._overrides)
            self._of, self._merged = base, limited.model_copy(update={"users": users})
        return self._merged

    def apply(self, overrides: Mapping[str, str]) -> None:
        """Overrides were read anew."""
        self._overrides = overrides
        self._merged = None
