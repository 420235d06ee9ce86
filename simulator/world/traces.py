"""Requests of a real service, from CSV: when, whose, which model, for how long.

The columns are those of Alibaba's GenTD26 ``lora_request_trace.csv``; other
columns are ignored, and ``.gz`` files are read as they are.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

#: a request that ended so was served; all others are dropped
_SERVED: Final = "SUCCEED"
#: pauses of the service are cut to this (s): nights say nothing about scheduling
LONGEST_GAP_S: Final = 300.0


class TraceError(Exception):
    """A trace, load-time or node file cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One served request of a trace."""

    #: seconds since the first one, with long gaps cut
    at: float
    tenant: str
    model: str
    #: how long it ran, model loaded
    run_seconds: float


def open_text(file: Path) -> TextIO:
    """A text file, unpacked if its name ends in ``.gz``.

    Raises:
        TraceError: it cannot be opened.
    """
    try:
        if file.suffix == ".gz":
            return gzip.open(file, "rt", encoding="utf-8", newline="")
        return file.open(encoding="utf-8", newline="")
    except OSError as error:
        raise TraceError(f"{file} cannot be read: {error.strerror}") from error


def read_trace(file: Path, limit: int | None = None) -> list[Request]:
    """Served requests in order of time, the first at 0; gaps above 300 s count as 300 s.

    Args:
        file: CSV or CSV.gz.
        limit: at most so many requests, from the start; None: all.

    Raises:
        TraceError: no such file, a column is missing, or nothing was served.
    """
    with open_text(file) as text:
        rows = sorted(_served(file, text), key=lambda row: row[0])[:limit]
    if not rows:
        raise TraceError(f"{file.name} has no row whose predict_status is {_SERVED}")
    return list(_without_gaps(rows))


def _served(file: Path, text: TextIO) -> Iterator[tuple[float, str, str, float]]:
    for number, row in enumerate(csv.DictReader(text), start=2):
        try:
            if row["predict_status"] != _SERVED:
                continue
            arrived = datetime.fromisoformat(row["gmt_create"]).timestamp()
            seconds = float(row["exec_time_seconds"])
            tenant, model = row["groupId"], row["checkpoint_model_version_id"]
        except KeyError as error:
            raise TraceError(f"{file.name} has no column {error}") from error
        except ValueError as error:
            raise TraceError(f"{file.name}, line {number}: {error}") from error
        if seconds > 0 and math.isfinite(seconds):
            yield arrived, tenant, model, seconds


def _without_gaps(rows: Iterable[tuple[float, str, str, float]]) -> Iterator[Request]:
    at, before = 0.0, math.nan
    for arrived, tenant, model, seconds in rows:
        if not math.isnan(before):
            at += min(arrived - before, LONGEST_GAP_S)
        before = arrived
        yield Request(at, tenant, model, seconds)


def read_load_times(file: Path) -> list[float]:
    """Measured load times in seconds; the file holds milliseconds in column ``value``.

    Raises:
        TraceError: no such file, no such column, or no row.
    """
    with open_text(file) as text:
        try:
            times = [float(row["value"]) / 1000 for row in csv.DictReader(text)]
        except (KeyError, ValueError) as error:
            raise TraceError(
                f"{file.name}: load times are milliseconds in column value ({error})"
            ) from error
    if not times:
        raise TraceError(f"{file.name} has no load times")
    return times
