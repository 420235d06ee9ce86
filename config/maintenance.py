"""Times in which nothing new starts."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from config.values import Model


class Maintenance(Model):
    """Prompts are taken and wait, what runs ends; `vramgate maintenance on` sets it while all runs (docs/operations.md)."""

    enabled: bool = False
    """`true`: nothing new starts."""
    message: str = Field("", max_length=300)
    """Shown to everybody who waits, and on the dashboard."""
    until: AwareDatetime | None = None
    """Then it ends by itself, for example `2026-11-30T18:00:00+01:00`; unset: it ends when somebody ends it."""

    def over(self, now_s: float) -> bool:
        """Whether prompts start; ``now_s``: seconds since the epoch."""
        return not self.enabled or (self.until is not None and self.until.timestamp() <= now_s)
