"""Numbers and names in advice's sentences."""

from __future__ import annotations

from typing import Final

_GIB: Final = 2**30
_MIB: Final = 2**20


def seconds(value: float) -> str:
    """``0.8 s``, ``12 s``, ``4 min``, ``2.5 h``."""
    if value < 9.95:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h"


def memory(size: float) -> str:
    """``6.0 GiB``, ``300 MiB``."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"


def times(value: float) -> str:
    """``4.5×``."""
    return f"{value:.1f}×" if value < 10 else f"{value:.0f}×"


def share(value: float) -> str:
    """``12 %``."""
    return f"{value * 100:.0f} %"


def count(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(fingerprint: str) -> str:
    """A workflow's fingerprint as pages show it."""
    return fingerprint[:8] or "(unknown)"


def model(name: str) -> str:
    """A model without its folder."""
    return name.rpartition("/")[2] or name


def size(width: int, height: int, batch: int = 1) -> str:
    """``3840×2160``, with ``, 4 at once`` where there are more."""
    return f"{width}×{height}" + (f", {batch} at once" if batch > 1 else "")
