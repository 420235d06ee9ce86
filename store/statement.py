"""Usage of a month or another time to hand out: CSV and JSON in whole numbers, HTML to print.

The whole numbers are what was counted; hours and kilowatt hours are made of them for reading.
"""

from __future__ import annotations

import csv
import html
import io
import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from store.records import By, UsageSum

#: a spreadsheet would take a text that begins so for a formula
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_HEADS: Final = (
    "GPU hours", "GiB hours", "kWh", "jobs", "failed", "mean wait s", "GPU µs", "byte ms",
    "cost µs", "mJ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Statement:
    """Usage of one month, or of another time."""

    #: ``2026-11``, or the time in words
    time: str
    by: By
    rows: tuple[UsageSum, ...]
    #: what ``time`` is: month, span
    kind: str = "month"
    #: the day of each row, where days are apart; (): they are not
    days: tuple[str, ...] = ()

    def times(self) -> tuple[str, ...]:
        """The time of each row."""
        return self.days or (self.time,) * len(self.rows)


def csv_of(statement: Statement) -> str:
    """One line for each name, the columns' names first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = "day" if statement.days else statement.kind
    writer.writerow([head, statement.by.value, *_HEADS])
    for at, row in zip(statement.times(), statement.rows, strict=True):
        name = f"'{row.name}" if row.name.startswith(_FORMULA) else row.name
        writer.writerow([at, name, *_figures(row)])
    return out.getvalue().rstrip("\n")


def json_of(statement: Statement) -> str:
    """Whole numbers only."""
    rows = [
        ({"day": at} if statement.days else {})
        | {name: value for name, value in asdict(row).items() if name != "at_ms"}
        for at, row in zip(statement.times(), statement.rows, strict=True)
    ]
    found = {statement.kind: statement.time, "by": statement.by.value, "usage": rows}
    return json.dumps(found, indent=2, ensure_ascii=False)


def html_of(statement: Statement) -> str:
    """A page of its own, with nothing fetched from elsewhere."""
    first = ("day", statement.by.value) if statement.days else (statement.by.value,)
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in (*first, *_HEADS))
    lines = "".join(
        _line((*([at] if statement.days else []), row.name or "(none)"), _figures(row))
        for at, row in zip(statement.times(), statement.rows, strict=True)
    )
    empty = [""] if statement.days else []
    total = _line(("total", *empty), _figures(_total(statement.rows)))
    title = f"vramgate usage {html.escape(statement.time)} by {statement.by.value}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:14px system-ui;margin:2rem}table{border-collapse:collapse}"
        "th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid #ccc}"
        "th:first-child,td:first-child{text-align:left}tfoot{font-weight:bold}</style>"
        f"<h1>{title}</h1><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody>"
        f"<tfoot>{total}</tfoot></table></html>"
    )


def _line(names: tuple[str, ...], figures: list[Any]) -> str:
    cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in (*names, *figures))
    return f"<tr>{cells}</tr>"


def _figures(row: UsageSum) -> list[Any]:
    return [
        f"{row.gpu_us / 3.6e9:.3f}",
        f"{row.byte_ms / 2**30 / 3.6e6:.3f}",
        f"{row.energy_mj / 3.6e9:.3f}",
        row.jobs,
        row.failed,
        f"{row.wait_ms / 1000 / max(1, row.jobs):.1f}",
        row.gpu_us,
        row.byte_ms,
        row.cost_us,
        row.energy_mj,
    ]


def _total(rows: tuple[UsageSum, ...]) -> UsageSum:
    names = ("gpu_us", "byte_ms", "cost_us", "energy_mj", "jobs", "failed", "wait_ms")
    sums = {name: sum(getattr(row, name) for row in rows) for name in names}
    return UsageSum(name="total", at_ms=None, **sums)
