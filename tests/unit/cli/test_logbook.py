"""What of the roles' lines is shown."""

from __future__ import annotations

import json
from pathlib import Path

from cli.logbook import LogBook


def line(event: str, **fields: str) -> bytes:
    return json.dumps({"event": event, "level": "error", **fields}).encode()


def test_what_all_roles_say_of_the_config_file_is_shown_once_and_kept_by_each(
    tmp_path: Path,
) -> None:
    shown: list[str] = []
    book = LogBook(tmp_path, "warning", shown.append)
    refused = line("config_refused", where="a.yaml:3")
    for service in ("scheduler", "gateway"):
        book.line(service, refused)
    assert shown == ["scheduler | error   config_refused where=a.yaml:3"]
    assert "a.yaml:3" in book.path("gateway").read_text()
    book.line("gateway", line("config_refused", where="a.yaml:4"))
    assert len(shown) == 2
    for service in ("gateway", "scheduler"):  # the first mistake, made again
        book.line(service, refused)
    assert len(shown) == 3
    book.close()


def test_other_events_are_shown_for_each_role(tmp_path: Path) -> None:
    shown: list[str] = []
    book = LogBook(tmp_path, "warning", shown.append)
    for service in ("scheduler", "gateway"):
        book.line(service, line("ledger_away"))
    assert len(shown) == 2
    book.close()
