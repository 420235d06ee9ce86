"""The settings now in force, and how they follow their file while a process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from config.loading import Loaded
from config.problems import ConfigError
from config.schema import NEEDS_RESTART
from config.settings import Settings
from config.values import Model

log = structlog.get_logger()
_M = TypeVar("_M", bound=Model)
#: Between two looks at the file; a change takes effect at the second look that finds it.
_LOOK_S: Final = 0.5


class SettingsSource:
    """Hands out the settings in force; ``watch`` keeps them up to date.

    A bad new file changes nothing and is logged; what only a restart can change keeps its
    value until then.

    Args:
        load: reads everything again; raises ConfigError for a bad file.
    """

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self.loaded = load()
        self._settings = self.loaded.settings

    def current(self) -> Settings:
        """The settings now in force: pass this method to whoever needs them."""
        return self._settings

    def reload(self) -> bool:
        """Read the file again. True: other settings are in force now."""
        try:
            fresh = self._load()
        except ConfigError as error:
            for problem in error.problems:
                log.error(
                    "config_refused",
                    where=problem.where,
                    path=problem.path,
                    problem=problem.message,
                    kept="the settings in force before",
                )
            return False
        merged, waiting = keep_until_restart(self._settings, fresh.settings)
        if waiting:
            log.warning("config_needs_restart", settings=", ".join(waiting))
        changed = merged != self._settings
        self.loaded, self._settings = fresh, merged
        if changed:
            log.info("config_reloaded", file=str(fresh.file))
        return changed

    async def watch(self) -> None:
        """Follow the file until cancelled; returns at once where there is none.

        It reads the file instead of asking the kernel: that also sees changes on network
        folders and behind links, and any that were made since the process read the file.
        """
        file = self.loaded.file
        if file is None:
            return
        known = before = None
        while True:
            now = await asyncio.to_thread(_content, file)
            # twice the same: a file that is still being written must not take effect by halves
            if now is not None and now == before and now != known:
                known = now
                self.reload()
            before = now
            await asyncio.sleep(_LOOK_S)


def keep_until_restart(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """``new`` with the values of ``old`` where only a restart can change them, and which differ."""
    waiting: list[str] = []
    merged = new
    for path in NEEDS_RESTART:
        names = path.split(".")
        before = _get(old, names)
        if before != _get(new, names):
            waiting.append(path)
            merged = _set(merged, names, before)
    return merged, waiting


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _get(model: Model, names: list[str]) -> Any:
    value: Any = model
    for name in names:
        value = getattr(value, name)
    return value


def _set(model: _M, names: list[str], value: Any) -> _M:
    if len(names) > 1:
        value = _set(getattr(model, names[0]), names[1:], value)
    return model.model_copy(update={names[0]: value})
