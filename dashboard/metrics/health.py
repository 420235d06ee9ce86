"""How vramgate itself is: servers that it needs, how far the recorder is behind, alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from dashboard.metrics.families import gauge, single
from scheduler.ledger import Trust
from scheduler.ledger_records import StreamState


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is told of one moment. None: it could not be asked for."""

    pool: str
    version: str
    #: the ledger's time
    now_ms: int | None
    store_up: bool
    streams: Sequence[StreamState] | None = None
    trust: Trust | None = None
    gateways: int | None = None
    #: (rule, severity) → alerts that fire and are not muted
    firing: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: when rules were last looked at
    looked_ms: int | None = None


def families(health: Health) -> list[Metric]:
    """Everything about vramgate itself."""
    pool = health.pool
    return [
        gauge("build_info", "What runs.", ("version",), [((health.version,), 1)]),
        single("ledger_up", "1: Redis answers.", pool, health.now_ms is not None),
        single("store_up", "1: the database answers.", pool, health.store_up),
        single("gateways", "Gateways that have announced themselves.", pool, health.gateways),
        *_streams(health),
        *_forecasts(pool, health.trust),
        gauge(
            "alerts_firing",
            "Alerts that fire and are not muted, by rule.",
            ("pool", "rule", "severity"),
            (((pool, *key), count) for key, count in sorted(health.firing.items())),
        ),
        single(
            "alerts_evaluated_timestamp_seconds",
            "When the recorder last looked at the alert rules, seconds since the epoch.",
            pool,
            None if health.looked_ms is None else health.looked_ms / 1000,
        ),
    ]


def _streams(health: Health) -> list[Metric]:
    streams, now_ms = health.streams or (), health.now_ms or 0
    labels = ("pool", "stream")
    return [
        gauge(
            "stream_entries",
            "Entries of a stream of Redis.",
            labels,
            (((health.pool, one.name), one.entries) for one in streams),
        ),
        gauge(
            "stream_unrecorded_entries",
            "Of these, what the recorder has not stored yet.",
            labels,
            (((health.pool, one.name), one.waiting) for one in streams),
        ),
        gauge(
            "recorder_lag_seconds",
            "Age of the oldest entry that is not stored yet.",
            labels,
            (
                (
                    (health.pool, one.name),
                    0 if one.oldest_ms is None else max(0, now_ms - one.oldest_ms) / 1000,
                )
                for one in streams
            ),
        ),
    ]


def _forecasts(pool: str, trust: Trust | None) -> list[Metric]:
    known = trust is not None and trust.scored
    return [
        single(
            "forecast_coverage_ratio",
            "Share of the last jobs that started by the time they were told (9 of 10 should).",
            pool,
            trust.coverage if trust is not None and known else None,
        )
    ]
