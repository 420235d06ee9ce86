"""A worker's memory while its attempts ran, as its probe would have sampled it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from simulator.day.machine import Played
from simulator.day.play import Days
from simulator.day.studio import NODES
from simulator.world.simple_machine import CONTEXT_BYTES

Row = dict[str, Any]
#: a probe's samples are further apart here than real ones: a day has a hundred thousand points
_STEP_MS: Final = 500
#: points of one piece
_PIECE: Final = 10
_TOTAL: Final = {gpu: node.vram_bytes for node in NODES for gpu in node.gpus}


def curve_rows(one: Played, days: Days) -> Iterator[Row]:
    """Pieces of the attempt's curve."""
    if one.end is None:
        return
    begin = days.from_ms + int(one.start * 1000)
    end = min(days.from_ms + int(one.end * 1000), days.until_ms)
    times = list(range(begin, end, _STEP_MS))
    for first in range(0, len(times), _PIECE):
        some = times[first : first + _PIECE]
        points = [_point(one, (at - begin) / 1000, at - some[0]) for at in some]
        yield {"worker": one.worker, "at_ms": some[0], "points": json.dumps(points)}


def _point(one: Played, at: float, offset: int) -> list[int]:
    """[ms after the piece's begin, allocated, reserved, free on the device]."""
    weights = sum(one.posted.workflow.models.values())
    peak = one.peak_bytes - CONTEXT_BYTES
    steps = one.script.nodes
    step = next((step for step in steps if at <= step.begin + step.seconds), steps[-1])
    loaded = min(1.0, at / max(0.02, one.script.load_seconds))
    allocated = max(one.before_bytes - CONTEXT_BYTES, int(weights * loaded), 0)
    if step.kind.work_bytes:
        # it breathes with the sampler's steps
        wave = (7 * int(at * 2) % 10) / 10
        allocated = int(min(peak * 0.94, weights + step.kind.work_bytes) * (0.9 + 0.1 * wave))
    reserved = max(allocated, int(peak * (0.6 if step.begin < 1 else 0.98)))
    reserved = min(reserved, one.peak_bytes)
    return [offset, min(allocated, reserved), reserved, _TOTAL[one.gpu] - reserved - CONTEXT_BYTES]
