"""What the process holds on its device now, and which models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .card import Card
from .meter import Meter
from .names import name_of


class Memory:
    """Reads the counters and ComfyUI's list of loaded models. Usable from any thread."""

    def __init__(
        self, card: Card, meter: Meter, management: Any, limit: Callable[[], int | None]
    ) -> None:
        """``management`` is ``comfy.model_management``; ``limit`` gives the bytes in force."""
        self._card = card
        self._meter = meter
        self._management = management
        self._limit = limit

    def figures(self) -> dict[str, Any]:
        """The answer of ``GET /memory``, docs/probe.md. Bytes."""
        reading = self._meter.read()
        peak_allocated, peak_reserved = self._meter.peaks()
        return {
            "allocated": reading.allocated,
            "reserved": reading.reserved,
            "peak_allocated": peak_allocated,
            "peak_reserved": peak_reserved,
            # torch does not know what the driver gave this process besides, only the driver does
            "context": None,
            "device_free": self._card.free(),
            "device_total": self._card.total(),
            "limit": self._limit(),
            "models": [shown(patcher) for patcher in self.patchers()],
            "host_rss": self._meter.resident(),
        }

    def patchers(self) -> list[Any]:
        """The patchers of loaded models, the last used first; those that are gone are left out."""
        return [patcher for _, patcher in loaded(self._management)]


def loaded(management: Any) -> list[tuple[Any, Any]]:
    """ComfyUI's entries of loaded models, each with its patcher; the last used first.

    Since 0.3.11 an entry holds its patcher by a weak reference, before by a plain one: ``model`` gives
    it in both, or None once it is gone.
    """
    entries = list(getattr(management, "current_loaded_models", ()))
    pairs = [(entry, getattr(entry, "model", None)) for entry in entries]
    return [(entry, patcher) for entry, patcher in pairs if patcher is not None]


def shown(patcher: Any) -> dict[str, Any]:
    """One model as ``/memory`` shows it."""
    return {
        "name": name_of(patcher),
        "class": type(getattr(patcher, "model", None)).__name__,
        "bytes": int(patcher.model_size()),
        "loaded_bytes": on_device(patcher),
    }


def on_device(patcher: Any) -> int:
    """Bytes of a model in ComfyUI's list that are on the device.

    Until 2024-08 a patcher did not tell: a listed model was there as a whole.
    """
    return int(patcher.loaded_size() if hasattr(patcher, "loaded_size") else patcher.model_size())
