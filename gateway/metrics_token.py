"""The token that lets a scraper in to ``/metrics``, and nowhere else."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Final

import structlog

from config.metrics import Metrics
from gateway.keys import hash_key

PATH: Final = "/metrics"
_log = structlog.get_logger()


def opens(settings: Metrics, shown: str) -> bool:
    """Whether what was shown is the metrics token.

    All forms that are set are good; each is compared as a digest, in a time that does not tell
    how much of it was right.
    """
    digest = hash_key(shown)
    wanted = (
        None if settings.token is None else hash_key(settings.token),
        None if settings.token_hash is None else settings.token_hash.lower(),
        _of_file(settings.token_file),
    )
    good = [hmac.compare_digest(digest, one) for one in wanted if one is not None]
    return any(good)


def _of_file(file: Path | None) -> str | None:
    """Digest of the token in the file, which may change while we run."""
    if file is None:
        return None
    try:
        token = file.read_text().strip()
    except OSError as error:
        _log.warning("metrics_token_unreadable", error=type(error).__name__)
        return None
    return hash_key(token) if token else None
