"""Commands that read the store, where there is none: what to do, and nothing made by looking."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.errors import CliError
from cli.main import app

READERS = [
    ["advice"],
    ["alerts"],
    ["migrate", "--check"],
    ["record", "--since", "1h", "--out", "-"],
    ["report", "--out", "-"],
    ["usage"],
]


def refusal(words: list[str], *place: str) -> str:
    done = CliRunner().invoke(app, [*words, *place])
    assert isinstance(done.exception, CliError), done.exception
    return str(done.exception)


@pytest.mark.parametrize("words", READERS, ids=lambda words: words[0])
def test_a_folder_without_a_store_stays_as_it_is(tmp_path: Path, words: list[str]) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert "--data-dir" in refusal(words, "--data-dir", str(folder))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "vramgate.db").write_text("this was a letter to a friend")
    assert "is no database" in refusal(["usage"], "--data-dir", str(tmp_path))


@pytest.mark.parametrize("words", READERS, ids=lambda words: words[0])
def test_a_store_that_does_not_answer_is_told_without_its_password(
    tmp_path: Path, words: list[str]
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("store: {url: 'postgresql://me:hunter2@127.0.0.1:1/x'}\n")
    told = refusal(words, "--config", str(file), "--data-dir", str(tmp_path))
    assert "store.url" in told
    assert "hunter2" not in told
