"""Whom the recorder tells besides the store, by the settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cli.errors import CliError
from cli.version import own_version
from config.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

Rows = Sequence[Mapping[str, Any]]


class Part(Protocol):
    """Something that runs beside the recorder."""

    async def run(self) -> None:
        """Until cancelled."""
        ...


@dataclass(slots=True)
class Outside:
    """All sinks together."""

    parts: list[Part] = field(default_factory=list)
    of_jobs: list[Callable[[Rows], None]] = field(default_factory=list)
    of_samples: list[Callable[[Rows], None]] = field(default_factory=list)

    def jobs(self, rows: Rows) -> None:
        """Jobs that have ended."""
        for tell in self.of_jobs:
            tell(rows)

    def samples(self, rows: Rows) -> None:
        """A second of GPUs and queue."""
        for tell in self.of_samples:
            tell(rows)


def sinks(settings: Settings, engine: AsyncEngine) -> Outside:
    """Those that the settings name.

    Raises:
        CliError: what one of them needs is not installed.
    """
    outside, pool = Outside(), settings.redis.pool
    if settings.sinks.influx.url is not None:
        from dashboard.sinks.influx import InfluxSink
        from dashboard.sinks.toll import Toll

        toll = Toll("influx", engine)
        influx = InfluxSink(settings.sinks.influx, pool, toll)
        outside.of_jobs.append(influx.jobs)
        outside.of_samples.append(influx.samples)
        outside.parts += [influx, toll]
    if settings.sinks.otel.endpoint is not None:
        _add_otel(outside, settings, engine, settings.sinks.otel.endpoint)
    return outside


def _add_otel(outside: Outside, settings: Settings, engine: AsyncEngine, endpoint: str) -> None:
    from dashboard.sinks.otel import OtelSink
    from dashboard.sinks.toll import Toll
    from store.traces import SqlTraces

    try:
        from dashboard.sinks.otlp import OtlpExporter
    except ImportError as error:
        raise CliError(str(error)) from error
    toll = Toll("otel", engine)
    exporter = OtlpExporter(endpoint, settings.sinks.otel.service, own_version())
    otel = OtelSink(
        settings.sinks.otel,
        settings.redis.pool,
        SqlTraces(engine),
        exporter,
        toll,
        time.monotonic,
    )
    outside.of_jobs.append(otel.jobs)
    outside.parts += [otel, toll]
