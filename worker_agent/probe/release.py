"""Gives device memory back. All of it runs in the prompts' thread, between prompts (``turn``)."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Collection
from typing import Any

from .card import Card
from .hooks import Hooks
from .memory import loaded
from .names import name_of


class Releaser:
    """Unloads models, drops what nodes handed on, empties torch's pool."""

    def __init__(self, card: Card, management: Any) -> None:
        """``management`` is ``comfy.model_management``."""
        self._card = card
        self._management = management
        self._executor: weakref.ref[Any] | None = None

    def hold(self, hooks: Hooks, execution: Any) -> None:
        """Learn of ComfyUI's one executor when it is made; its caches hold models and tensors."""
        label, owner = "PromptExecutor.__init__", getattr(execution, "PromptExecutor", None)
        if owner is None:
            hooks.missing.append(label)
        else:
            hooks.wrap(label, owner, "__init__", self._made)

    def everything(self) -> list[str]:
        """Let go of all models and cached outputs.

        The caches go first: a model that nobody holds any more is freed where it is, while ComfyUI's
        own order copies its weights to host memory, only to drop them there.

        Returns:
            Names of the models that were on the device.
        """
        names = self._names()
        executor = self._executor() if self._executor is not None else None
        if executor is not None:
            executor.reset()
        gc.collect()
        forget = getattr(self._management, "cleanup_models", None)
        if forget is not None:
            forget()
        self._management.unload_all_models()
        self._card.trim()
        return names

    def some(self, keep: Collection[str], size: int | None) -> list[str]:
        """Move models that are not in ``keep`` to host memory, those used longest ago first.

        Args:
            keep: names as ``/memory`` shows them.
            size: bytes that shall come free; None: all but what is kept.

        Returns:
            Names of the models that left the device.
        """
        self._card.trim()
        held = self._card.reserved()
        names = []
        for entry, patcher in reversed(loaded(self._management)):
            if size is not None and held - self._card.reserved() >= size:
                break
            name = name_of(patcher)
            if name not in keep:
                names.append(name)
                unload(self._management, entry)
                self._card.trim()
        return names

    def below(self, size: int) -> list[str]:
        """Make torch hold no more than ``size`` bytes, by the least: its pool, then models.

        Returns:
            Names of the models that left the device.
        """
        if self._card.reserved() <= size:
            return []
        self._card.trim()
        over = self._card.reserved() - size
        return self.some((), over) if over > 0 else []

    def _names(self) -> list[str]:
        return [name_of(patcher) for _, patcher in loaded(self._management)]

    def _made(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def __init__(executor: Any, *args: Any, **kwargs: Any) -> None:
            original(executor, *args, **kwargs)
            self._executor = weakref.ref(executor)

        return __init__


def unload(management: Any, entry: Any) -> None:
    """Move a model to host memory, as ComfyUI's ``free_memory`` does it to an entry of its list."""
    entry.model_unload()
    entries = management.current_loaded_models
    for place, other in enumerate(entries):
        if other is entry:
            del entries[place]
            return
