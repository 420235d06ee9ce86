from __future__ import annotations

import re

import pytest

from worker_agent.probe.redact import DROPPED, Redactor
from worker_agent.probe.settings import Redaction


def test_a_text_becomes_twelve_hex_digits_equal_for_equal_texts() -> None:
    redactor = Redactor(Redaction(), "token")
    digits = redactor.value("text", "a castle")
    assert re.fullmatch("[0-9a-f]{12}", digits)
    assert redactor.value("other", "a castle") == digits
    assert redactor.value("text", "a castle.") != digits


def test_a_hash_means_nothing_under_another_key() -> None:
    one, other = Redactor(Redaction(), "one"), Redactor(Redaction(), "other")
    assert one.value("text", "x") != other.value("text", "x")
    alone = [Redactor(Redaction(), None).value("text", "x") for _ in range(2)]
    assert alone[0] != alone[1]


@pytest.mark.parametrize("name", ["api_key", "KEY", "hf_token", "Password2"])
def test_what_sounds_like_a_secret_is_dropped_whatever_it_is(name: str) -> None:
    redactor = Redactor(Redaction(texts="keep"), "token")
    assert redactor.value(name, "x") is DROPPED
    assert redactor.value(name, 7) is DROPPED


def test_numbers_are_told_and_those_json_has_not_as_texts() -> None:
    redactor = Redactor(Redaction(), "token")
    assert [redactor.value("n", value) for value in (3, 0.5, True, None)] == [3, 0.5, True, None]
    assert redactor.value("n", float("nan")) == "nan"
    assert redactor.value("n", float("inf")) == "inf"


def test_texts_can_be_dropped_or_kept_up_to_a_length() -> None:
    assert Redactor(Redaction(texts="drop"), None).value("text", "x") is DROPPED
    keep = Redactor(Redaction(texts="keep"), None)
    assert keep.value("text", "x") == "x"
    assert len(keep.value("text", "x" * 5000)) == 201


def test_anything_else_is_dropped() -> None:
    assert Redactor(Redaction(texts="keep"), None).value("curve", {"a": "secret"}) is DROPPED


def test_a_text_that_is_no_unicode_is_hashed_too() -> None:
    assert len(Redactor(Redaction(), None).value("text", "\ud800")) == 12


def test_names_that_prompts_make_up_fill_no_memory() -> None:
    redactor = Redactor(Redaction(), None)
    for number in range(10_000):
        redactor.value(f"name {number}", 1)
    assert len(redactor._verdicts) <= 4096
