"""How much memory ComfyUI is told it has, so that it uses what it was promised (pure).

ComfyUI (0.3.64) decides by its own bookings what stays on the device: 4,356 bytes per
pixel for a VAE that allocates 2,177 to 2,250, and 0.4 GiB that it always keeps free. Told no
more than its reservation it would move weights out for nothing. Measured on an H200 with a
cap of 9.2 GiB on torch: one SDXL picture takes 2.2 s where it sees the card, 3.2 s where it is
told 9.2, 1.9 s with 11. Told the card it would pass all pictures of a batch through the VAE at once, run out
of memory and go on in tiles: four take 5.5 s then, and 3.05 s if told 11.
"""

from __future__ import annotations

from typing import Final

from scheduler.guess import CONTEXT_BYTES
from scheduler.states import Job

#: What ComfyUI books for the VAE beyond what the VAE allocates, as a share of that. What torch
#: reserves for it, up to 2,880 bytes per pixel, is told with the same share: as no picture more
#: fits then, that does no harm.
_BOOKED_BEYOND: Final = 4_356 / 2_250 - 1
#: Measured needs lie between this share of the formulas and all of it.
_LEARNED: Final = 0.8
#: It keeps 400 MiB free beside whatever it books (``EXTRA_RESERVED_VRAM``).
_KEPT_FREE_BYTES: Final = 400 << 20


def told_bytes(job: Job) -> int:
    """What a worker with this job should take for all the device memory there is.

    Args:
        job: with its reservation.

    Returns:
        Device footprint, as the reservation, and never below that; 0 without one.
    """
    if job.reserved_bytes <= 0:
        return 0
    torch = int((job.reserved_bytes - CONTEXT_BYTES) * _unlearned(job))
    work = 0
    if len(job.model_bytes) == len(job.models) and all(job.model_bytes):
        # a size that nobody knows would pass for work
        work = max(0, torch - sum(job.model_bytes))
    return CONTEXT_BYTES + torch + int(_BOOKED_BEYOND * work) + _KEPT_FREE_BYTES


def _unlearned(job: Job) -> float:
    """What the formulas say over what was learned that it takes, where that is a little less.

    ComfyUI's bookings do not shrink with what runs showed: told in proportion to that, it
    would pass one picture less through the VAE, take less, and be told less the next time.
    A need that is far below the formulas is more likely wrong, and must not be told away.
    """
    guessed, need = job.guess.bytes - CONTEXT_BYTES, job.need_bytes - CONTEXT_BYTES
    return guessed / need if _LEARNED * guessed <= need < guessed else 1.0
