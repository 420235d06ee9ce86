"""The ``history`` section: what is kept of what happened, and for how long."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from config.values import Model, Seconds

_DAY: Final = 86_400.0


class History(Model):
    """What the recorder keeps, and for how long. Deleted each hour by `vramgate jobs`."""

    keep_seconds: Seconds = _DAY
    """Samples of GPUs and queue, one for each second."""
    keep_ten_seconds: Seconds = 7 * _DAY
    """The same, means of ten seconds, and what kept whose jobs waiting."""
    keep_minutes: Seconds = 90 * _DAY
    """The same, means of a minute."""
    keep_hours: Seconds | None = None
    """The same, means of ten minutes, of an hour and of four; usage, and what nodes took in each hour. Unset: for good."""
    keep_nodes: Seconds = 90 * _DAY
    """What each node of each job took: times, memory, shapes, redacted inputs."""
    keep_curves: Seconds = 7 * _DAY
    """Memory of each worker while its prompts ran, several times a second."""
    keep_jobs: Seconds | None = Field(None, ge=8 * _DAY)
    """Ended jobs with their prompts and results; outputs have `files.keep_outputs`. Unset: for good; at least 8 days, since usage is added up from them."""
    keep_audit: Seconds = 365 * _DAY
    """Alerts, and who did and saw what."""
    inputs: bool = True
    """`false`: of what a node was given nothing is kept at all. `true`: as the probe redacts it (`probe.redact`)."""
