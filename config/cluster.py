"""What our own processes share: their token, whom they trust, and how they log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from config.values import Model


class Cluster(Model):
    """What our own processes show each other."""

    token: str | None = Field(None, min_length=16, repr=False)
    """Shared by gateways and agents; unset: `token_file`."""
    token_file: Path | None = None
    """File with the token; `vramgate up` makes one in the data folder."""
    ca: Path | None = None
    """Certificates (PEM) that are trusted besides the system's, where agents and gateways have `https` addresses."""


class Log(Model):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity."""
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: console on a terminal, JSON elsewhere."""
