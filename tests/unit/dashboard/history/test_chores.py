"""What is kept for how long, from the settings to the store."""

from __future__ import annotations

from cli.chores import kept
from config.history import History
from dashboard.history.chores import kept_until


def test_every_span_of_the_settings_reaches_the_store() -> None:
    spans = kept(History(keep_seconds=60, keep_nodes=120))
    until = kept_until(spans, 1_000_000)
    assert (until.seconds_ms, until.nodes_ms) == (940_000, 880_000)
    assert (until.jobs_ms, until.hours_ms) == (None, None)
