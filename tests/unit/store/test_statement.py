"""Statements: whole numbers to the last digit, and nothing in them that acts."""

from __future__ import annotations

import csv
import io
import json

from store.records import By, UsageSum
from store.statement import Statement, csv_of, html_of, json_of

BIG = 2**75 + 1


def row(name: str) -> UsageSum:
    return UsageSum(
        name=name, at_ms=None, gpu_us=5_400_000_000, byte_ms=BIG, cost_us=3, energy_mj=7,
        jobs=4, failed=1, wait_ms=6000,
    )  # fmt: skip


def test_csv_and_json_have_every_digit() -> None:
    statement = Statement("2026-11", By.USER, (row("ann"),))
    (line,) = csv.DictReader(io.StringIO(csv_of(statement)))
    assert (line["user"], line["GPU hours"], line["byte ms"]) == ("ann", "1.500", str(BIG))
    assert (line["jobs"], line["mean wait s"]) == ("4", "1.5")
    (told,) = json.loads(json_of(statement))["usage"]
    assert told["byte_ms"] == BIG


def test_a_name_is_no_formula_and_no_markup() -> None:
    statement = Statement("2026-11", By.WORKFLOW, (row('=HYPERLINK("x")'), row("<script>")))
    assert "'=HYPERLINK" in csv_of(statement)
    assert "<script>" not in html_of(statement)
    assert "&lt;script&gt;" in html_of(statement)


def test_html_tells_the_total() -> None:
    page = html_of(Statement("2026-11", By.USER, (row("ann"), row("bob"))))
    assert f"<td>{2 * BIG}</td>" in page
