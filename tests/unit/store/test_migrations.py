"""Migrations only add, so that the release before still runs on the newer schema."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "store" / "migrations" / "versions"
#: what an older release does not notice
ADDITIVE = {"create_table", "create_index", "drop_index", "add_column", "f", "get_bind", "execute"}


def problems(source: str) -> list[str]:
    """What in ``upgrade`` an older release would trip over."""
    (upgrade,) = (
        part
        for part in ast.parse(source).body
        if isinstance(part, ast.FunctionDef) and part.name == "upgrade"
    )
    found = []
    for call in ast.walk(upgrade):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if not isinstance(call.func.value, ast.Name) or call.func.value.id != "op":
            continue
        name = call.func.attr
        if name not in ADDITIVE:
            found.append(f"op.{name}")
        elif name == "add_column" and not _may_be_left_out(call):
            found.append("a column that an older release's INSERT does not name")
        elif name == "execute" and not _only_fills(call):
            found.append("SQL that is no UPDATE or INSERT")
        elif name == "create_index" and _is_unique(call):
            found.append("a unique index, which an older release's rows may break")
        elif name == "drop_index" and not _only_sorts(call):
            found.append("an index that an older release's upserts may name")
    return found


def _may_be_left_out(add: ast.Call) -> bool:
    column = add.args[1]
    assert isinstance(column, ast.Call)
    named = {word.arg: word.value for word in column.keywords}
    nullable = named.get("nullable")
    return "server_default" in named or not (
        isinstance(nullable, ast.Constant) and nullable.value is False
    )


def _only_fills(execute: ast.Call) -> bool:
    text = ast.unparse(execute.args[0]).upper()
    return ("UPDATE " in text or "INSERT " in text) and "DELETE" not in text


def _is_unique(index: ast.Call) -> bool:
    return any(
        word.arg == "unique" and isinstance(word.value, ast.Constant) and word.value.value
        for word in index.keywords
    )


def _only_sorts(drop: ast.Call) -> bool:
    """Whether it is no unique index: those are primary keys here, and have no name of their own."""
    return any(
        isinstance(part, ast.Constant) and str(part.value).startswith("ix_")
        for part in ast.walk(drop.args[0])
    )


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_every_migration_only_adds(file: Path) -> None:
    assert problems(file.read_text()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('op.drop_column("jobs", "x")', "op.drop_column"),
        ('op.rename_table("jobs", "tasks")', "op.rename_table"),
        ('op.alter_column("jobs", "x", nullable=False)', "op.alter_column"),
        ('op.add_column("jobs", sa.Column("x", sa.Text(), nullable=False))', "a column"),
        ('op.execute("DELETE FROM jobs")', "SQL"),
        ('op.create_index("ix", "jobs", ["x"], unique=True)', "a unique index"),
        ('op.drop_index("uq_jobs", "jobs")', "an index"),
    ],
)
def test_what_an_older_release_would_trip_over_is_found(line: str, said: str) -> None:
    (problem,) = problems(f"def upgrade():\n    {line}\n")
    assert problem.startswith(said)
