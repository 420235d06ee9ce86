"""What flows along the links of a simulated graph.

Pictures are real (Pillow, one per batch entry); everything that a model would
compute is only a key that says how it came about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from PIL import Image

from simulator.comfyui.catalog import ModelFile

Images: TypeAlias = list[Image.Image]


@dataclass(frozen=True, slots=True)
class Weights:
    """MODEL, CLIP, VAE, CONTROL_NET and the like.

    Attributes:
        key: Says how it came about.
        files: What must be on the device to use it.
        family: One of :data:`simulator.comfyui.model.FAMILIES`.
    """

    key: str
    files: tuple[ModelFile, ...]
    family: str = "sd15"


@dataclass(frozen=True, slots=True)
class Conditioning:
    """CONDITIONING: a text, and the further models that it brings to the sampler."""

    key: str
    files: tuple[ModelFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Latent:
    """LATENT; sizes in pixels of the picture that it stands for."""

    key: str
    width: int
    height: int
    batch: int

    @property
    def pixels(self) -> int:
        """Of the whole batch."""
        return self.width * self.height * self.batch


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that nothing looks into."""

    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class Blocker:
    """An output that stops what depends on it; with a message it is reported."""

    message: str | None


def renamed(value: Any, key: str) -> Any:
    """The same value with another history."""
    if isinstance(value, Weights | Conditioning | Latent | Opaque):
        return replace(value, key=key)
    return value
