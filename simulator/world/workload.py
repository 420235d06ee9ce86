"""Which jobs arrive when: a trace superposed with itself until a load is met.

``copies`` of the trace are laid over each other, each shifted in time by a
random phase (its end wraps around to the start) and with tenants of its own;
models keep their names, so that popularity is kept. Then the clock is scaled so
that ``Σ run_seconds ÷ (GPUs × horizon)`` is exactly the load. Few copies keep the
bursts of the trace; on GenTD26 a clock of its own would take some 60 copies for
64 GPUs, and nearly a million jobs. ``copies=0`` asks for just that.

A trace names no memory. Each model draws a size (4, 9, 14 or 24 GiB, at 35, 40,
17 and 8 %) and a load time from measured ones. A model's draws depend on the
seed and its name only, not on which other rows there are.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulator.world.traces import Request

#: sizes of checkpoints (GiB) and how often each is drawn (%)
_SIZES_GIB: Final = (4, 9, 14, 24)
_SHARES: Final = (35, 40, 17, 8)
#: what a run needs beside its model: the process's context (1.36 GiB) and activations
WORKING_BYTES: Final = 4 * 2**30
#: load times (s) where no measured ones are given, by quantile: 25, 50, 90 and 99 %
#: of GenTD26's base-model loads; straight lines between them
_LOAD_QUANTILES: Final = (
    (0.0, 1.3),
    (0.25, 3.1),
    (0.5, 22.7),
    (0.9, 42.0),
    (0.99, 51.9),
    (1.0, 79.4),
)
#: tenants with at most so many requests in one trace are small
SMALL_TENANT_REQUESTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A checkpoint, as far as scheduling cares."""

    name: str
    bytes: int
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """One job to be submitted."""

    at: float
    user: str
    model: Model
    #: warm, and as it will really be
    run_seconds: float
    #: its user asks for little
    small: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """All jobs of one seed, in order of arrival."""

    arrivals: Sequence[Arrival]
    #: seconds in which they arrive
    horizon: float
    #: Σ run_seconds ÷ (GPUs × horizon)
    load: float
    copies: int


def default_copies(gpus: int) -> int:
    """Four up to 200 GPUs, then one per 50: a large pool serves more tenants at once."""
    return max(4, gpus // 50)


def superpose(
    requests: Sequence[Request],
    *,
    gpus: int,
    load: float,
    load_times: Sequence[float],
    seed: int,
    copies: int | None = None,
) -> Workload:
    """Make one seed's jobs.

    Args:
        requests: the trace, in order of time.
        gpus: size of the pool.
        load: share of GPU time that warm runs alone would take, above 0.
        load_times: measured load times (s) to draw from; empty: built-in quantiles.
        seed: of phases, sizes and load times.
        copies: how often the trace is laid over itself; None: ``default_copies``; 0: as
            often as its own clock needs.
    """
    work = sum(request.run_seconds for request in requests)
    # a trace of one moment lasts as long as its longest request
    span = requests[-1].at or max(request.run_seconds for request in requests)
    count = default_copies(gpus) if copies is None else copies
    count = count or max(1, round(load * gpus * span / work))
    horizon = count * work / (gpus * load)
    rng = random.Random(seed)
    drawn = [
        _shifted(requests, copy, rng.random(), horizon / span, horizon) for copy in range(count)
    ]
    models = {
        name: _draw_model(name, load_times, seed)
        for name in {request.model for request in requests}
    }
    requested = Counter(request.tenant for request in requests)
    arrivals = [
        Arrival(
            at,
            f"{request.tenant}~{copy}",
            models[request.model],
            request.run_seconds,
            requested[request.tenant] <= SMALL_TENANT_REQUESTS,
        )
        for at, copy, request in sorted(
            (item for part in drawn for item in part), key=lambda item: item[:2]
        )
    ]
    return Workload(arrivals=arrivals, horizon=horizon, load=load, copies=count)


def _shifted(
    requests: Sequence[Request], copy: int, phase: float, scale: float, horizon: float
) -> list[tuple[float, int, Request]]:
    return [((r.at * scale + phase * horizon) % horizon, copy, r) for r in requests]


def _draw_model(name: str, load_times: Sequence[float], seed: int) -> Model:
    rng = random.Random(f"{seed}:{name}")
    size = rng.choices(_SIZES_GIB, _SHARES)[0] * 2**30
    return Model(name=name, bytes=size, load_seconds=_draw_load_time(load_times, rng))


def _draw_load_time(load_times: Sequence[float], rng: random.Random) -> float:
    if load_times:
        return rng.choice(load_times)
    at = rng.random()
    for (low, fast), (high, slow) in itertools.pairwise(_LOAD_QUANTILES):
        if at <= high:
            return fast + (slow - fast) * (at - low) / (high - low)
    return _LOAD_QUANTILES[-1][1]
