"""Stand-ins of what holds memory: loaded models, a VAE, torch's counters of a card."""

from __future__ import annotations

import types
from typing import Any

from tests.comfy_stand_in.values import Version


class Patcher:
    """A model on its way to a device. Before partial loads it did not say how much is there."""

    def __init__(self, size: int) -> None:
        self.model = types.SimpleNamespace()
        self.size = size
        self.there = 0

    def model_size(self) -> int:
        return self.size


class PartialPatcher(Patcher):
    def loaded_size(self) -> int:
        return self.there


def management(version: Version) -> Any:
    """``comfy.model_management``: loads and unloads."""
    module = types.ModuleType("comfy.model_management")

    class LoadedModel:
        def __init__(self, model: Any) -> None:
            self.model = model

        def model_load(
            self, lowvram_model_memory: Any = 0, force_patch_weights: Any = False
        ) -> Any:
            self.model.there = min(self.model.size, lowvram_model_memory or self.model.size)
            return self.model.model

        def model_unload(self, memory_to_free: Any = None, unpatch_weights: Any = True) -> bool:
            model, self.model = self.model, None
            model.there = 0
            return True

    def patcher(size: int) -> Any:
        return (PartialPatcher if version.partial_loads else Patcher)(size)

    module.LoadedModel = LoadedModel  # type: ignore[attr-defined]
    module.patcher = patcher  # type: ignore[attr-defined]
    return module


def sd() -> Any:
    """``comfy.sd``: a VAE that runs out of memory where its latent is large."""
    module = types.ModuleType("comfy.sd")

    class VAE:
        def __init__(self, device: str = "cuda") -> None:
            self.device = types.SimpleNamespace(type=device)

        def decode(self, samples_in: int, vae_options: Any = None) -> str:
            return self.decode_tiled_(samples_in) if samples_in > 100 else "whole"

        def encode(self, pixel_samples: int) -> str:
            return self.encode_tiled_(pixel_samples) if pixel_samples > 100 else "whole"

        def decode_tiled(self, samples: int, tile_x: Any = None) -> str:
            return self.decode_tiled_(samples)

        def decode_tiled_(self, samples: int, tile_x: int = 64) -> str:
            return "tiles"

        def encode_tiled_(self, pixel_samples: int, tile_x: int = 512) -> str:
            return "tiles"

    module.VAE = VAE  # type: ignore[attr-defined]
    return module


class Cuda:
    """torch's counters of one device."""

    def __init__(self) -> None:
        self.held = self.peak = 0
        self.pool = self.pool_peak = 0

    def take(self, size: int) -> None:
        self.held += size
        self.peak = max(self.peak, self.held)
        self.pool = max(self.pool, self.held)
        self.pool_peak = max(self.pool_peak, self.pool)

    def give(self, size: int) -> None:
        self.held -= size

    def memory_stats_as_nested_dict(self, device: Any) -> dict[str, Any]:
        return {
            "allocated_bytes": {"all": {"current": self.held, "peak": self.peak}},
            "reserved_bytes": {"all": {"current": self.pool, "peak": self.pool_peak}},
        }

    def reset_peak_memory_stats(self, device: Any) -> None:
        self.peak, self.pool_peak = self.held, self.pool

    def mem_get_info(self, device: Any) -> tuple[int, int]:
        return 10_000 - self.pool, 10_000
