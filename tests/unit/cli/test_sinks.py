"""Whom the recorder tells, by the settings."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from cli.errors import CliError
from cli.sinks import sinks
from config.settings import Settings
from store.engine import open_engine

INFLUX = {"url": "http://127.0.0.1:9", "database": "d"}
OTEL = {"endpoint": "http://127.0.0.1:9"}


def made(**configured: Any) -> list[str]:
    settings = Settings.model_validate({"sinks": configured})
    outside = sinks(settings, open_engine("sqlite://"))
    outside.jobs([])
    outside.samples([])
    return [type(part).__name__ for part in outside.parts]


def test_nobody_is_told_unless_it_is_configured() -> None:
    assert made() == []
    assert made(influx=INFLUX) == ["InfluxSink", "Toll"]
    assert made(otel=OTEL) == ["OtelSink", "Toll"]
    assert made(influx=INFLUX, otel=OTEL) == ["InfluxSink", "Toll", "OtelSink", "Toll"]


def test_without_the_packages_of_opentelemetry_it_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "dashboard.sinks.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(CliError, match=r"pip install 'vramgate\[otel\]'"):
        made(otel=OTEL)


def test_no_package_of_opentelemetry_is_needed_without_it() -> None:
    """Whoever does not ask for traces installs nothing for them, and waits for no import."""
    code = (
        "import sys; import cli.sinks, dashboard.sinks.otel, dashboard.sinks.influx, cli.main;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
