"""What is kept for how long, from the settings to the store."""

from __future__ import annotations

from cli.jobs import _kept
from config.history import History
from dashboard.history.chores import kept_until


def test_every_span_of_the_settings_reaches_the_store() -> None:
    spans = _kept(History(keep_seconds=60, keep_nodes=120))
    kept = kept_until(spans, 1_000_000)
    assert (kept.seconds_ms, kept.nodes_ms) == (940_000, 880_000)
    assert (kept.jobs_ms, kept.hours_ms) == (None, None)
