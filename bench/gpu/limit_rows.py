"""The rows of the limits benchmark as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_GIB: Final = 2**30
_HEAD: Final = (
    "| mechanism | limit GiB | told | workflow | s | NVML peak GiB | over | allocated | reserved | "
    "tiled, partial | after job | trimmed | released (s) |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[dict[str, Any]], header: bool = True) -> str:
    """Markdown, one line for each row; sizes in GiB of device footprint as NVML shows it."""
    lines = [_line(row) for row in rows]
    return "\n".join([_HEAD, *lines] if header else lines)


def _line(row: dict[str, Any]) -> str:
    runs, limit, told = row["runs"], row["limit"], row["told"]
    peak = max(run["peak"] for run in runs)
    seconds = ", ".join(
        f"{run['seconds']:.2f}" + ("" if run["result"] == "ok" else f" **{run['result']}**")
        for run in runs
    )
    falls, release = row["fallbacks"], row.get("release")
    cells = [
        row["mechanism"],
        "–" if limit is None else f"{limit / _GIB:.2f}",
        "card" if told is None else "limit" if told == limit else _gib(told),
        row["workflow"],
        seconds,
        _gib(peak),
        "–" if limit is None else f"{(peak - limit) / _GIB:+.2f}",
        _gib(max(run["peak_allocated"] for run in runs)),
        _gib(max(run["peak_reserved"] for run in runs)),
        f"{falls['tiled']}, {falls['partial']}",
        _gib(row["after_job"]),
        f"{_gib(row['after_trim'])} ({row['trim_s']:.2f} s)",
        "" if release is None else f"{_gib(release['after'])} ({release['seconds']:.2f} s)",
    ]
    return "| " + " | ".join(cells) + " |"


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f}"
