"""Which models a worker holds, and what it drops when it needs room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable


class Residency:
    """The models in one worker's device memory, least recently used first."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, int] = OrderedDict()
        #: device bytes of all of them
        self.bytes = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The models, most recently used first."""
        return tuple(reversed(self._models))

    def holds(self, models: Iterable[str]) -> bool:
        """All of the models are loaded."""
        return all(model in self._models for model in models)

    def use(self, model: str, size: int) -> None:
        """The model is loaded, as the most recently used one."""
        self.bytes += size - self._models.pop(model, 0)
        self._models[model] = size

    def shrink(self, most: int, keep: Iterable[str]) -> None:
        """Drop the least recently used models until at most ``most`` bytes are held.

        What is in ``keep`` stays, even if that is more.
        """
        kept = set(keep)
        for model in list(self._models):
            if self.bytes <= most:
                return
            if model not in kept:
                self.bytes -= self._models.pop(model)

    def clear(self) -> None:
        """Nothing is loaded any more."""
        self._models.clear()
        self.bytes = 0
