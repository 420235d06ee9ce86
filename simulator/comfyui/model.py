"""How much memory and time a workflow takes: a fit to measurements on one H200.

Measured were ComfyUI 0.3.64 with SD 1.5 (1.99 GiB) and SDXL (6.46 GiB) in fp16,
nine workflows, cold and warm, and one to eight workers side by side. The peak is
the VAE: weights plus a constant number of bytes per pixel of the batch; that
reproduces all nine peaks within 3 %. Seconds are within about a third.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20
GIB = 2**30

#: What a process costs on top of what torch reserves: context, kernels, cuDNN.
CONTEXT_BYTES = int(0.8 * GIB)
#: VAE decode and encode, per pixel of the batch: what tensors need, …
VAE_ALLOCATED_BYTES_PER_PIXEL = 2177
#: … and what the allocator takes when it may.
VAE_RESERVED_BYTES_PER_PIXEL = 2740
#: Fragments that the allocator keeps beside that.
RESERVED_SLACK_BYTES = 32 * MIB
#: A VAE that works in tiles needs this, whatever the picture's size …
TILED_VAE_BYTES = int(1.5 * GIB)
#: … and so long for each pixel: the 4K round trip (16.6 million pixels) took 9.2 to 12.6 s in tiles, four
#: pictures of 1024² 3.0 s. Tiles have no attention across the picture: it is a line, not a curve.
TILED_VAE_SECONDS_PER_PIXEL = 0.65e-6
#: Within a limit ComfyUI keeps at least this share of a model's weights on the device, works in
#: this much beside them, …
LEAST_SHARE = 0.2
WORKING_BYTES = int(0.8 * GIB)
#: … and samples 2.7 times as long with a fifth of them in host memory (6 GiB told: 1.5 → 3.7 s).
STRETCH_PER_SHARE = 8.5
#: Seconds to move weights out for the VAE's turn, and in again: 1.1 for SDXL's 6.46 GiB.
MOVE_SECONDS_PER_GIB = 0.17
#: Seconds until NVML shows the memory back after ``POST /free``; four measurements.
FREE_DELAYS_S = (0.4, 0.6, 4.0, 7.5)
#: Pixels of a 512×512 picture: the unit in which the fits below count.
_UNIT_PIXELS = 512 * 512


@dataclass(frozen=True, slots=True)
class Activation:
    """Bytes that a node needs beside the weights.

    Attributes:
        allocated_bytes: What its tensors take: it fails below that.
        reserved_bytes: What the allocator takes when there is room.
    """

    allocated_bytes: int
    reserved_bytes: int


@dataclass(frozen=True, slots=True)
class Family:
    """How a kind of model samples.

    Attributes:
        step_s: Seconds of one step while the GPU is not full.
        step_s_per_unit: Seconds that each further 512×512 picture adds.
        free_units: So many 512×512 pictures add nothing.
        encode_s: Seconds of one text encoding.
        sampler_bytes_per_unit: Reserved while sampling, per 512×512 picture.
    """

    step_s: float
    step_s_per_unit: float
    free_units: float
    encode_s: float
    sampler_bytes_per_unit: int

    def step_seconds(self, pixels: int) -> float:
        """Seconds of one step over so many pixels (width × height × batch)."""
        units = pixels / _UNIT_PIXELS
        return self.step_s + max(0.0, units - self.free_units) * self.step_s_per_unit

    def sampling(self, pixels: int) -> Activation:
        """Memory of sampling so many pixels."""
        reserved = int(self.sampler_bytes_per_unit * pixels / _UNIT_PIXELS)
        return Activation(reserved * 3 // 4, reserved)


FAMILIES = {
    "sd15": Family(0.030, 0.0042, 0.0, 0.015, int(0.15 * GIB)),
    "sdxl": Family(0.0755, 0.0075, 4.0, 0.035, int(0.11 * GIB)),
}


def vae_activation(pixels: int) -> Activation:
    """Memory of decoding or encoding so many pixels at once."""
    return Activation(
        pixels * VAE_ALLOCATED_BYTES_PER_PIXEL,
        pixels * VAE_RESERVED_BYTES_PER_PIXEL + RESERVED_SLACK_BYTES,
    )


def tiled_vae_activation(pixels: int) -> Activation:
    """Memory of doing the same in tiles."""
    whole = vae_activation(pixels)
    return Activation(
        min(whole.allocated_bytes, TILED_VAE_BYTES), min(whole.reserved_bytes, TILED_VAE_BYTES)
    )


def vae_seconds(pixels: int) -> float:
    """Seconds of decoding so many pixels (0.06 at 512², 1.0 at 3840×2160)."""
    units = pixels / _UNIT_PIXELS
    return 0.045 + 0.012 * units + 0.0006 * units**2


def tiled_vae_seconds(pixels: int) -> float:
    """Seconds of doing the same in tiles: three passes over them, with overlaps."""
    return max(vae_seconds(pixels), pixels * TILED_VAE_SECONDS_PER_PIXEL)


def load_seconds(size_bytes: int) -> float:
    """Seconds from disk into the GPU: about 2 for SD 1.5, 5.4 for SDXL."""
    return 0.5 + 0.75 * size_bytes / GIB


def reopen_seconds(size_bytes: int) -> float:
    """Seconds of a loader node whose weights are still on the GPU."""
    return 0.05 + 0.05 * size_bytes / GIB


def slowdown(computing: int) -> float:
    """How many times longer each worker takes when so many compute at once.

    Two workers give 1.2–1.5 times the throughput of one, four and more 1.5–1.8.
    """
    if computing <= 1:
        return 1.0
    return float(computing / min(1.78, computing**0.45))
