"""What ComfyUI is told of its memory: enough that it uses what its job was promised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.guess import CONTEXT_BYTES, VAE_BYTES_PER_PIXEL
from scheduler.states import Guess, Job
from scheduler.told import told_bytes
from tests.pools import GIB, job

SDXL = 6_938_041_144
#: bytes per pixel that the VAE allocates (2,177 measured)
ALLOCATED = 2_177
MODELS = ("checkpoints/sdxl.safetensors",)


def promised(reserved_gib: float, **changes: object) -> Job:
    waiting = job("j", need=reserved_gib, models=MODELS, model_bytes=(SDXL,))
    return replace(waiting, reserved_bytes=int(reserved_gib * GIB), **changes)


@pytest.mark.parametrize("pictures", [1, 2, 3, 4, 8])
def test_as_many_pictures_pass_the_vae_at_once_as_the_reservation_is_for(pictures: int) -> None:
    """ComfyUI 0.3.64 takes so many as what is left beside the weights is worth in its bookings."""
    taken = SDXL + pictures * VAE_BYTES_PER_PIXEL * 1024**2
    found = told_bytes(promised((taken + CONTEXT_BYTES) / GIB)) - CONTEXT_BYTES - SDXL
    passed = found // (4_356 * 1024**2)
    assert passed >= pictures
    # more than that only where what they allocate fits in
    assert SDXL + passed * ALLOCATED * 1024**2 <= taken


def test_what_was_learned_to_take_less_passes_as_many_pictures_as_before() -> None:
    """ComfyUI's bookings stay the same: told in proportion it would take less from run to run."""
    guessed = SDXL + 4 * VAE_BYTES_PER_PIXEL * 1024**2 + CONTEXT_BYTES
    learned = int(0.97 * guessed)
    waiting = promised(learned / GIB, need_bytes=learned, guess=Guess(guessed, 2.6, 5.0))
    found = told_bytes(waiting) - CONTEXT_BYTES - SDXL
    assert found // (4_356 * 1024**2) >= 4


def test_one_picture_in_comfort_moves_no_weights_out() -> None:
    booked = 4_356 * 1024**2 + (400 << 20)
    assert told_bytes(promised(10.7)) - CONTEXT_BYTES >= SDXL + booked


def test_where_the_weights_hardly_fit_it_is_told_little_more_than_it_has() -> None:
    assert told_bytes(promised(6.6)) == int(6.6 * GIB) + (400 << 20)


def test_an_estimate_that_lies_is_told_what_it_was_promised() -> None:
    third = promised(3.6, need_bytes=int(3.6 * GIB), guess=Guess(int(10.7 * GIB), 1.8, 5.0))
    assert told_bytes(third) == int(3.6 * GIB) + (400 << 20)


def test_a_size_that_nobody_knows_does_not_pass_for_work() -> None:
    for sizes in ((), (0,)):
        assert told_bytes(promised(12, model_bytes=sizes)) == 12 * GIB + (400 << 20)


def test_without_a_reservation_it_is_told_nothing() -> None:
    assert told_bytes(promised(0)) == 0
