"""The device that ComfyUI computes on, as torch shows it."""

from __future__ import annotations

import contextlib
from typing import Any


class Card:
    """One device. Without a GPU, or with one whose torch module cannot tell, ``told`` is False.

    Attributes:
        device: ComfyUI's torch device.
        kind: ``cuda`` (NVIDIA, and AMD too), ``xpu``, ``mps``, ``cpu``, …
        told: whether its bytes are known, so that a limit can be shown to ComfyUI.
        capped: whether torch can keep the process within a number of bytes there.
    """

    def __init__(self, device: Any, torch: Any) -> None:
        """``torch`` is the module."""
        self.device = device
        self.kind: str = getattr(device, "type", "cpu")
        self._torch = torch
        module = getattr(torch, self.kind, None) if self.kind != "cpu" else None
        self._module = module
        self.told = hasattr(module, "memory_stats") and hasattr(module, "mem_get_info")
        self.capped = self.told and hasattr(module, "set_per_process_memory_fraction")

    @property
    def allocator(self) -> str:
        """The backend of torch's allocator: ``native``, ``cudaMallocAsync``, …; empty: nobody says."""
        ask = getattr(self._module, "get_allocator_backend", None)
        return str(ask()) if ask is not None else ""

    def total(self) -> int | None:
        """Bytes of the device; None where nobody tells."""
        return self._info(1)

    def free(self) -> int | None:
        """Bytes of the device that no process holds; None where nobody tells."""
        return self._info(0)

    def allocated(self) -> int:
        """Bytes in use by tensors."""
        return self._stat("allocated_bytes.all.current")

    def active(self) -> int:
        """Bytes in use by tensors, or freed but still wanted by a stream; what ComfyUI counts."""
        return self._stat("active_bytes.all.current")

    def reserved(self) -> int:
        """Bytes that torch holds on the device, in use or not."""
        return self._stat("reserved_bytes.all.current")

    def cap(self, size: int | None) -> None:
        """Let torch allocate no more than ``size`` bytes; None: all there are."""
        total = self.total()
        if not self.capped or not total or self._module is None:
            return
        fraction = 1.0 if size is None else min(1.0, max(0.0, size / total))
        self._module.set_per_process_memory_fraction(fraction, self.device)

    def trim(self) -> None:
        """Give back what torch holds and no tensor needs. Both of torch's CUDA allocators do so."""
        if self._module is None or not hasattr(self._module, "empty_cache"):
            return
        with self._here():
            if hasattr(self._module, "synchronize"):
                self._module.synchronize()
            self._module.empty_cache()
            if hasattr(self._module, "ipc_collect"):
                self._module.ipc_collect()

    def _here(self) -> Any:
        manager = getattr(self._module, "device", None)
        return contextlib.nullcontext() if manager is None else manager(self.device)

    def _info(self, place: int) -> int | None:
        if not self.told or self._module is None:
            return None
        return int(self._module.mem_get_info(self.device)[place])

    def _stat(self, name: str) -> int:
        if not self.told or self._module is None:
            return 0
        return int(self._module.memory_stats(self.device).get(name, 0))
