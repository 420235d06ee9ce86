"""The model reproduces what was measured on an H200."""

from __future__ import annotations

import pytest

from simulator.comfyui.catalog import Catalog
from simulator.comfyui.model import (
    FAMILIES,
    load_seconds,
    slowdown,
    tiled_vae_seconds,
    vae_activation,
    vae_seconds,
)

GIB = 2**30
SIZES = {"sd15": 1.99 * GIB, "sdxl": 6.46 * GIB}

#: family, width, height, batch → GiB allocated and reserved at the peak
PEAKS = [
    ("sd15", 512, 512, 1, 2.55, 2.72),
    ("sd15", 512, 512, 4, 4.15, 4.72),
    ("sd15", 512, 512, 8, 6.27, 7.56),
    ("sd15", 1024, 1024, 1, 4.15, 4.72),
    ("sdxl", 768, 768, 1, 7.69, 8.06),
    ("sdxl", 1024, 1024, 1, 8.62, 9.19),
    ("sdxl", 1024, 1024, 4, 15.00, 17.22),
    ("sdxl", 2048, 2048, 1, 15.00, 17.22),
    ("sdxl", 3840, 2160, 1, 23.31, 27.66),
]


@pytest.mark.parametrize(("family", "width", "height", "batch", "allocated", "reserved"), PEAKS)
def test_peaks_are_the_measured_ones(
    family: str, width: int, height: int, batch: int, allocated: float, reserved: float
) -> None:
    need = vae_activation(width * height * batch)
    weights = SIZES[family]
    assert (weights + need.allocated_bytes) / GIB == pytest.approx(allocated, rel=0.03)
    assert (weights + need.reserved_bytes) / GIB == pytest.approx(reserved, rel=0.03)


@pytest.mark.parametrize(
    ("family", "width", "height", "batch", "steps", "warm_s"),
    [
        ("sd15", 512, 512, 1, 20, 0.70),
        ("sd15", 512, 512, 4, 20, 0.90),
        ("sd15", 512, 512, 8, 20, 1.29),
        ("sd15", 1024, 1024, 1, 20, 0.82),
        ("sdxl", 768, 768, 1, 20, 1.53),
        ("sdxl", 1024, 1024, 1, 20, 1.52),
        ("sdxl", 1024, 1024, 4, 12, 1.75),
        ("sdxl", 2048, 2048, 1, 8, 1.54),
    ],
)
def test_sampling_takes_about_as_long_as_measured(
    family: str, width: int, height: int, batch: int, steps: int, warm_s: float
) -> None:
    seconds = steps * FAMILIES[family].step_seconds(width * height * batch)
    assert seconds == pytest.approx(warm_s, rel=0.35)


def test_loading_costs_more_than_the_picture() -> None:
    assert load_seconds(int(SIZES["sd15"])) == pytest.approx(2.0, rel=0.1)
    assert load_seconds(int(SIZES["sdxl"])) == pytest.approx(5.4, rel=0.1)


def test_sampling_needs_less_than_decoding() -> None:
    for family in FAMILIES.values():
        assert family.sampling(1 << 20).reserved_bytes < vae_activation(1 << 20).reserved_bytes


def test_a_large_decode_is_slower_per_pixel() -> None:
    assert vae_seconds(512 * 512) == pytest.approx(0.06, rel=0.1)
    assert vae_seconds(3840 * 2160) == pytest.approx(1.03, rel=0.1)


def test_sharing_a_card_slows_each_and_helps_all() -> None:
    throughput = [workers / slowdown(workers) for workers in (1, 2, 4, 8)]
    assert throughput == pytest.approx([1.0, 1.35, 1.75, 1.75], rel=0.05)


def test_the_catalog_has_the_checkpoint_of_the_frontends_default_workflow() -> None:
    assert "v1-5-pruned-emaonly-fp16.safetensors" in Catalog().names("checkpoints")


@pytest.mark.parametrize(
    ("pixels", "rest_s", "measured_s"),
    [
        # the 4K round trip in 12, 8 (told) and 6 GiB (told); four pictures of 1024² after sampling
        (2 * 3840 * 2160, 0.4, 10.8),
        (2 * 3840 * 2160, 0.4, 9.2),
        (2 * 3840 * 2160, 0.4, 12.6),
        (4 * 1024 * 1024, 2.4, 5.4),
    ],
)
def test_a_vae_in_tiles_takes_about_as_long_as_measured(
    pixels: int, rest_s: float, measured_s: float
) -> None:
    assert rest_s + tiled_vae_seconds(pixels) == pytest.approx(measured_s, rel=0.25)
