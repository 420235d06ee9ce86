"""The settings now in force, and how they follow their file while a process runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog

from config.loading import Loaded
from config.problems import ConfigError
from config.schema import NEEDS_RESTART
from config.settings import Model, Settings

log = structlog.get_logger()
_M = TypeVar("_M", bound=Model)
OnChange = Callable[[Settings], Awaitable[None]]


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

    async def watch(self, on_change: OnChange | None = None) -> None:
        """Follow the file until cancelled; returns at once where there is none."""
        from watchfiles import awatch  # costs 30 ms that a short command need not pay

        file = self.loaded.file
        if file is None:
            return
        # The folder, not the file: editors replace files, and Kubernetes swaps a link above them.
        before = await asyncio.to_thread(_content, file)
        async for _ in awatch(file.parent, recursive=False, debounce=200):
            now = await asyncio.to_thread(_content, file)
            if now is None or now == before:  # half-way through being replaced, or another file
                continue
            before = now
            if self.reload() and on_change is not None:
                await on_change(self._settings)


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
