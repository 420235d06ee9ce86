"""The workflows of the measurements, as ComfyUI's prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Workflow:
    """A text-to-image workflow; without steps, a round trip through the VAE alone."""

    checkpoint: str
    width: int
    height: int
    batch: int
    steps: int

    @property
    def name(self) -> str:
        """Short, for tables."""
        what = f"×{self.batch}, {self.steps} steps" if self.steps else "VAE"
        return f"{self.checkpoint} {self.width}×{self.height} {what}"

    def graph(self, seed: int) -> dict[str, Any]:
        """A prompt that no cache has seen, if the seed is new."""
        inner = self._picture(seed) if self.steps else self._round_trip(seed)
        last = "7" if self.steps else "6"
        return {
            "1": _node("CheckpointLoaderSimple", ckpt_name=f"{self.checkpoint}.safetensors"),
            **inner,
            "8": _node("VAEDecode", samples=[last, 0], vae=["1", 2]),
            "9": _node("PreviewImage", images=["8", 0]),
        }

    def _picture(self, seed: int) -> dict[str, Any]:
        return {
            "2": _node("CLIPTextEncode", text=f"a cat {seed}", clip=["1", 1]),
            "3": _node("CLIPTextEncode", text="bad", clip=["1", 1]),
            "4": _node(
                "EmptyLatentImage", width=self.width, height=self.height, batch_size=self.batch
            ),
            "7": _node(
                "KSampler",
                model=["1", 0],
                positive=["2", 0],
                negative=["3", 0],
                latent_image=["4", 0],
                seed=seed,
                steps=self.steps,
                cfg=7.0,
                sampler_name="euler",
                scheduler="normal",
                denoise=1.0,
            ),
        }

    def _round_trip(self, seed: int) -> dict[str, Any]:
        return {
            "5": _node(
                "EmptyImage",
                width=self.width,
                height=self.height,
                batch_size=self.batch,
                color=seed % 2**24,
            ),
            "6": _node("VAEEncode", pixels=["5", 0], vae=["1", 2]),
        }


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
