"""Keeps the process within its reservation, and tells ComfyUI that this is all there is.

Two mechanisms, as one is not enough: torch refuses to allocate beyond the cap, which keeps the
neighbours safe from a wrong estimate; and ComfyUI's memory manager is shown the limit instead of the
card, so that it moves weights to host memory in time instead of running into that refusal.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .card import Card
from .hooks import Hooks, Wrap

#: bytes below the cap for what grows outside torch while a prompt runs (handles, kernels that are
#: loaded on first use beyond what `context` measured)
SLACK = 64 * 1024**2
#: a cap below this runs nothing: ComfyUI itself asks for 128 MiB of weights on the device at least
LEAST = 256 * 1024**2

#: the two functions that ComfyUI's memory manager decides by
_FREE, _TOTAL = "get_free_memory", "get_total_memory"


class BadLimit(ValueError):
    """A limit that cannot be kept; the message says what would be possible."""


@dataclass(frozen=True)
class Limit:
    """What the process is kept within.

    Attributes:
        size: bytes of device footprint; None: no limit.
        context: bytes of it that lie outside torch.
        told: bytes of device footprint that ComfyUI is shown as all there is; None: the card as it is.
    """

    size: int | None = None
    context: int = 0
    told: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("bytes", self.size), ("told", self.told)):
            if value is not None and value < self.least:
                raise BadLimit(
                    f"{name} must be {self.least} at least: context, {SLACK} of slack, {LEAST} for torch"
                )

    @property
    def least(self) -> int:
        """Bytes below which nothing would run."""
        return self.context + SLACK + LEAST

    @property
    def torch_bytes(self) -> int | None:
        """What torch may allocate."""
        return None if self.size is None else self.size - self.context - SLACK

    @property
    def torch_told(self) -> int | None:
        """What ComfyUI is shown of it."""
        return None if self.told is None else self.told - self.context - SLACK


class Limiter:
    """The limit in force.

    Attributes:
        limit: the last one that was applied.
    """

    def __init__(self, card: Card, management: Any) -> None:
        """``management`` is ``comfy.model_management``."""
        self.limit = Limit()
        self._card = card
        self._management = management
        self._tells = False
        #: ComfyUI's server thread tells people what the card has, and is left to do so
        self._server_thread = threading.get_ident()

    def hold(self, hooks: Hooks) -> None:
        """Take hold of ComfyUI's memory manager. To be called in the server's thread."""
        if not self._card.told:
            return
        held = [self._hold(hooks, _FREE, self._free), self._hold(hooks, _TOTAL, self._total)]
        self._tells = all(held)

    def _hold(self, hooks: Hooks, name: str, wrap: Wrap) -> bool:
        original = getattr(self._management, name, None)
        held = hooks.wrap("model_management." + name, self._management, name, wrap)
        if held:
            _replace_copies(name, original, getattr(self._management, name))
        return held

    def mode(self) -> str:
        """What a limit is worth here.

        Returns:
            ``enforced``: the device footprint stays within it. ``told``: ComfyUI is shown it, and what
            it does beyond is not prevented: no cap on this device, an allocator whose pool is larger
            than what the cap counts, or weights outside torch (Dynamic VRAM). ``observed``: neither.
        """
        if not self._tells:
            return "observed"
        if self._card.capped and self._card.allocator == "native" and not dynamic_vram():
            return "enforced"
        return "told"

    def apply(self, limit: Limit) -> None:
        """Let a limit come into force. What is above it already stays: the caller makes room."""
        self.limit = limit
        self._card.cap(limit.torch_bytes)

    def _shown(self, device: Any) -> int | None:
        """What torch has in all as ComfyUI shall see it; None: the card as it is."""
        told = self.limit.torch_told
        if told is None or threading.get_ident() == self._server_thread:
            return None
        if device is not None and getattr(device, "type", None) != self._card.kind:
            return None
        index, mine = getattr(device, "index", None), getattr(self._card.device, "index", None)
        return told if index is None or mine is None or index == mine else None

    def _free(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def get_free_memory(dev: Any = None, *args: Any, **kwargs: Any) -> Any:
            found = original(dev, *args, **kwargs)
            told = self._shown(dev)
            if told is None:
                return found
            active = self._card.active()
            if self._is_kept(found, active):
                return _exactly(found, max(0, min(told, self._card.total() or told) - active))
            return _at_most(found, max(0, told - active))

        return get_free_memory

    def _is_kept(self, found: Any, active: int) -> bool:
        """Whether the device has all that the process may still take, and it can take no more.

        What the neighbours hold is then no news for ComfyUI: it would move weights out for bookings
        that are larger than what it takes, as it does on a full card of its own.
        """
        cap = self.limit.torch_bytes
        if cap is None or self.mode() != "enforced":
            return False
        free = found[0] if isinstance(found, tuple) else found
        return bool(free >= cap - active)

    def _total(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def get_total_memory(dev: Any = None, *args: Any, **kwargs: Any) -> Any:
            found = original(dev, *args, **kwargs)
            told = self._shown(dev)
            return found if told is None else _at_most(found, told)

        return get_total_memory


def dynamic_vram() -> bool:
    """Whether ComfyUI pages weights by itself, outside torch's allocator (versions since 2026)."""
    module = sys.modules.get("comfy.memory_management")
    return bool(getattr(module, "aimdo_enabled", False))


def _at_most(found: Any, most: int) -> Any:
    """ComfyUI answers with bytes, or with (bytes, bytes of torch) where it was asked for both."""
    if isinstance(found, tuple):
        return (min(found[0], most), *found[1:])
    return min(found, most)


def _exactly(found: Any, size: int) -> Any:
    """The same, whatever was found."""
    return (size, *found[1:]) if isinstance(found, tuple) else size


def _replace_copies(name: str, original: Any, wrapped: Any) -> None:
    """Modules that imported the function by name hold the original; they get the wrapped one."""
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is original:
            setattr(module, name, wrapped)
