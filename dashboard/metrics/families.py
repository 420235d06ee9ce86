"""How figures become what Prometheus reads: names, units, labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from dashboard.metrics.counted import COUNTED, INFINITE, SPREADS, SUM, Counted, Spread
from store.tallies import Key

PREFIX: Final = "vramgate_"


def gauge(
    name: str,
    help_: str,
    labels: Sequence[str],
    values: Iterable[tuple[Sequence[str], float | int | None]],
) -> Metric:
    """A gauge; of None nothing is told, which Prometheus draws as a gap."""
    family = GaugeMetricFamily(PREFIX + name, help_, labels=labels)
    for of, value in values:
        if value is not None:
            family.add_metric(list(of), float(value))
    return family


def single(name: str, help_: str, pool: str, value: float | int | None) -> Metric:
    """A gauge of the whole pool."""
    return gauge(name, help_, ("pool",), [((pool,), value)])


def kept(pool: str, counts: Mapping[Key, int]) -> list[Metric]:
    """All counts that the store has; what was never counted is told as zero where that is plain."""
    return [
        *(_counter(pool, what, counts) for what in COUNTED),
        *(_histogram(pool, what, counts) for what in SPREADS),
    ]


def _counter(pool: str, what: Counted, counts: Mapping[Key, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + what.name, what.help, labels=("pool", *what.labels))
    found = {labels: value for (name, labels), value in counts.items() if name == what.name}
    if not what.labels:
        found.setdefault((), 0)
    for labels, value in sorted(found.items()):
        # the labels of another version's are not these
        if len(labels) == len(what.labels):
            family.add_metric([pool, *labels], value * what.unit)
    return family


def _histogram(pool: str, what: Spread, counts: Mapping[Key, int]) -> Metric:
    family = HistogramMetricFamily(PREFIX + what.name, what.help, labels=("pool", *what.labels))
    found: dict[tuple[str, ...], dict[str, int]] = {}
    for (name, values), value in counts.items():
        if name == what.name and values:
            found.setdefault(values[:-1], {})[values[-1]] = value
    if not what.labels:
        found.setdefault((), {})
    for labels, parts in sorted(found.items()):
        if len(labels) != len(what.labels):
            continue
        total_ms = parts.pop(SUM, 0)
        own = {f"{bound:g}" for bound in what.bounds} | {INFINITE}
        # bounds of another version stay what they are
        buckets, so_far = [], 0
        for bound in sorted(own | set(parts), key=float):
            so_far += parts.get(bound, 0)
            buckets.append((bound, float(so_far)))
        family.add_metric([pool, *labels], buckets, total_ms / 1000)
    return family
