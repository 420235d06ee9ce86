"""Profiles are shown, written to a file, and taken from one where it knows more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.errors import UsageError
from cli.profiles import read_records, row_of, select
from scheduler.accuracy import Accuracy, count_bytes, count_seconds
from scheduler.profile import Profile, add_bytes, add_seconds, to_json
from scheduler.states import Guess

GIB = 1 << 30
NAME = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
Run = Callable[..., subprocess.CompletedProcess[str]]


def profile(count: int = 3) -> Profile:
    accuracy = count_seconds(count_bytes(Accuracy(), 104, 100), 10, 20, 30)
    known = add_seconds(add_bytes(Profile(), 0.9, 1, 1.0), 2.0, 1, 2.0)
    return Profile(
        about="nice",
        count=count,
        at_ms=7,
        bytes=known.bytes,
        seconds=known.seconds,
        accuracy=accuracy,
        last=Guess(10 * GIB, 4.0, 5.0),
    )


def file_of(records: object, **changes: object) -> str:
    return json.dumps({"format": "vramgate-profiles", "version": 1, "profiles": records} | changes)


RECORD = json.loads(to_json(profile()))


@pytest.fixture
def run(valkey_url: str, pool_name: str, tmp_path: Path) -> Run:
    environ = {"VRAMGATE_REDIS__URL": valkey_url, "VRAMGATE_REDIS__POOL": pool_name}

    def profiles(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli.main", "profiles", *arguments, "--data-dir", str(tmp_path)],
            input=stdin,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return profiles


def test_what_was_exported_is_imported_and_shown_again(run: Run, tmp_path: Path) -> None:
    assert "nothing was learned yet" in run("show").stdout
    first, again = tmp_path / "first.json", tmp_path / "again.json"
    first.write_text(file_of({NAME: RECORD, OTHER: {"v": 1}, "no name": RECORD}))
    done = run("import", str(first))
    assert done.returncode == 0, done.stderr
    assert "took 1 profiles" in done.stdout
    assert "1 of another version" in done.stdout
    assert "'no name' is no fingerprint" in done.stderr
    shown = run("show").stdout
    assert "01234567 nice" in shown
    assert "10.0 GiB" in shown
    assert "up to 5 %" in shown
    assert run("export", str(again)).stdout == f"wrote 1 profiles to {again}\n"
    assert json.loads(again.read_text())["profiles"] == {NAME: RECORD}
    assert "left 1 of which this pool has seen" in run("import", str(again)).stdout


def test_a_pipe_serves_as_file(run: Run) -> None:
    assert "took 1" in run("import", "-", stdin=file_of({NAME: RECORD})).stdout
    assert json.loads(run("export", "-").stdout)["profiles"] == {NAME: RECORD}
    (row,) = json.loads(run("show", "--json").stdout)
    assert (row["fingerprint"], row["runs"]) == (NAME, 3)


def test_a_file_without_a_single_profile_is_refused(run: Run) -> None:
    done = run("import", "-", stdin=file_of({NAME: {"v": 2, "count": -1}}))
    assert done.returncode == 1
    assert "nothing in - is a profile" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "not written by"),
        (json.dumps({NAME: RECORD}), "not written by"),
        (file_of({}, version=9), "version 9"),
        (file_of([RECORD]), "version 1"),
    ],
)
def test_what_is_no_file_of_profiles_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_records(text, "x.json")


def test_a_file_that_is_not_there_is_one_clear_error(run: Run, tmp_path: Path) -> None:
    done = run("import", str(tmp_path / "none.json"))
    assert done.returncode == 2
    assert "cannot read" in done.stderr
    done = run("export", str(tmp_path / "no" / "folder.json"))
    assert done.returncode == 1
    assert "cannot write" in done.stderr


def test_the_record_with_more_runs_stays() -> None:
    more, fewer = to_json(profile(5)).encode(), to_json(profile(2)).encode()
    assert select({NAME: RECORD}, {NAME: more}).kept == 1
    assert list(select({NAME: RECORD}, {NAME: fewer}).taken) == [NAME]
    assert list(select({NAME: RECORD}, {NAME: b"{"}).taken) == [NAME]


def test_a_row_says_how_right_the_estimates_were() -> None:
    row = row_of(NAME, profile())
    assert row["byte_error"] == 0.05
    assert row["under_share"] == 0.0
    assert row["covered_share"] == 0.0
    assert row["last_seconds"] == 8.0
    assert row_of(NAME, Profile())["covered_share"] is None
