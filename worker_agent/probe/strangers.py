"""Makes room for a prompt whose limit ComfyUI does not see: models of earlier prompts go first.

A job that gets all it wants is capped there, but ComfyUI is shown more (``told``, docs/probe.md), as
it books more than it takes and would move weights out for nothing. It then also believes that models
of earlier prompts may stay, and would run into the cap. So before each load those are judged by the
cap, and the prompt's own models as ComfyUI likes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from typing import Any

from .card import Card
from .hooks import Hooks
from .limit import Limiter
from .memory import loaded, on_device
from .release import unload


class Strangers:
    """Knows which models the running prompt has used."""

    def __init__(self, card: Card, management: Any, limiter: Limiter) -> None:
        """``management`` is ``comfy.model_management``."""
        self._card = card
        self._management = management
        self._limiter = limiter
        self._used: set[int] = set()
        self.failed: Callable[[str, BaseException], None] = _ignore

    def hold(self, hooks: Hooks) -> None:
        """Take hold of ComfyUI's loads."""
        hooks.wrap(
            "model_management.load_models_gpu", self._management, "load_models_gpu", self._held
        )

    def begin_prompt(self) -> None:
        """A prompt begins: no model is its own yet."""
        self._used.clear()

    def _held(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load_models_gpu(models: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                models = list(models)
                self._used.update(id(patcher.model) for patcher in models)
                wanted = args[0] if args else kwargs.get("memory_required", 0)
                self._make_room(models, float(wanted))
            except Exception as error:  # ComfyUI makes room by its own lights, then
                self.failed("strangers", error)
            return original(models, *args, **kwargs)

        return load_models_gpu

    def _make_room(self, models: Iterable[Any], wanted: float) -> None:
        most, told = self._limiter.limit.torch_bytes, self._limiter.limit.torch_told
        if most is None or (told is not None and told <= most):
            return  # ComfyUI sees the limit and makes room by itself
        pairs = loaded(self._management)
        listed = {id(patcher.model) for _, patcher in pairs}
        missing = sum(_missing(patcher, listed) for patcher in models)
        for entry, patcher in reversed(pairs):
            if most - self._card.active() >= missing + wanted:
                return
            if id(patcher.model) not in self._used and on_device(patcher) > 0:
                unload(self._management, entry)


def _missing(patcher: Any, listed: Collection[int]) -> int:
    """Bytes of a model that are not on the device yet."""
    there = on_device(patcher) if id(patcher.model) in listed else 0
    return max(0, int(patcher.model_size()) - there)


def _ignore(where: str, error: BaseException) -> None:
    """Until somebody is there to be told."""
