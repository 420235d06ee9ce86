from __future__ import annotations

import json
from typing import Any

import pytest

from worker_agent.probe.settings import (
    VARIABLE,
    BadSettings,
    Capture,
    Redaction,
    Settings,
    from_environment,
)


def test_without_the_variable_the_probe_works_alone() -> None:
    assert from_environment({}) == Settings()
    assert Settings().token is None


def test_the_variable_gives_token_redaction_and_capture() -> None:
    given = {
        "token": "t",
        "redact": {"texts": "drop", "inputs": ["*seed*"]},
        "capture": {"pixels": 128, "budget_bytes": 1000},
    }
    settings = from_environment({VARIABLE: json.dumps(given)})
    assert settings == Settings("t", True, True, Redaction("drop", ("*seed*",)), Capture(128, 1000))


def test_texts_are_hashed_and_keys_dropped_by_default() -> None:
    assert Redaction() == Redaction("hash", ("*key*", "*token*", "*password*"))


@pytest.mark.parametrize(
    "patch",
    [
        {"hooks": 1},
        {"token": "other"},
        {"redact": {"texts": "show"}},
        {"redact": {"inputs": "*"}},
        {"redact": []},
        {"capture": {"pixels": 5}},
        {"capture": {"pixels": True}},
        {"capture": {"budget_bytes": -1}},
        {"capture": "yes"},
    ],
)
def test_what_cannot_be_used_is_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(BadSettings):
        Settings(token="t").changed(patch)


@pytest.mark.parametrize("text", ["[]", "{", '{"token": 3}', '{"token": ""}'])
def test_a_bad_variable_is_refused_without_its_text(text: str) -> None:
    with pytest.raises(BadSettings) as refused:
        from_environment({VARIABLE: text})
    assert VARIABLE in str(refused.value)


def test_a_change_keeps_the_rest() -> None:
    settings = Settings(token="t").changed({"memory": False})
    assert settings == Settings(token="t", memory=False)
    assert settings.changed({"capture": {}}).capture == Capture()


def test_what_is_shown_has_no_token() -> None:
    assert "secret" not in json.dumps(Settings(token="secret").changed({"capture": {}}).shown())
