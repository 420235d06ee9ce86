from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.perf_json.parts import entries_of, head_of
from dashboard.perf_json.reading import BadFile, read
from dashboard.perf_json.shapes import Perf
from dashboard.perf_json.writing import PerfJson
from tests.unit.dashboard.perf_json.files import check_schema, encoded, small


def problem(content: bytes) -> str:
    found = read(content)
    assert isinstance(found, BadFile)
    return found.problem


def written(perf: Perf) -> bytes:
    text = PerfJson()
    parts = [text.begin(head_of(perf)), *(text.add(one) for one in entries_of(perf)), text.end()]
    return b"".join(parts)


def test_what_is_written_is_read_again_and_the_same() -> None:
    first = read(encoded(small()))
    assert isinstance(first, Perf)
    content = written(first)
    check_schema(content)
    assert read(content) == first


def test_an_empty_recording_is_one() -> None:
    content = {name: small()[name] for name in ("format", "version", "about", "span")}
    found = read(encoded(content))
    assert isinstance(found, Perf)
    assert read(written(found)) == found


def test_fields_and_minor_versions_that_are_not_known_are_no_matter() -> None:
    content = small()
    content["version"] = "1.7"
    content["weather"] = [1, 2]
    content["jobs"][0]["mood"] = "good"
    content["runs"][0]["state"] = "A_NEW_WORD"
    assert isinstance(read(encoded(content)), Perf)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "2.0"}, "update vramgate"),
        ({"version": "0.9"}, "older than 1.0"),
        ({"version": 1}, "no version"),
        ({"version": "1.x"}, "no version"),
        ({"format": "chrome"}, '"format": "vramgate.perf"'),
        ({"nodes": [{"job": "j", "node": "1", "class": "A", "seconds": 1}]}, "started_ms"),
        ({"jobs": [{"id": "x" * 501, "state": ""}]}, "$.jobs[0].id"),
        ({"span": {"from_ms": -1, "until_ms": 2}}, "$.span.from_ms"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(change: dict[str, Any], told: str) -> None:
    assert told in problem(encoded(small() | change))


def test_columns_must_be_equally_long() -> None:
    content = small()
    content["memory"][0]["allocated"] = []
    assert "$.memory[0]" in problem(encoded(content))


def test_what_is_no_json_or_was_cut_off_is_told_so() -> None:
    assert "cut off" in problem(encoded(small())[:-40])
    assert "no JSON" in problem(b"\xff\xfe")
    assert "format" in problem(b"[]") or "object" in problem(b"[]")


def test_a_bomb_of_brackets_is_refused() -> None:
    deep = b'{"format":"vramgate.perf","version":"1.0","x":' + b"[" * 200_000
    assert problem(deep)
    nested = b'{"format":"vramgate.perf","version":"1.0","nodes":[{"inputs":{"a":' + b"[" * 200_000
    assert problem(nested)


def test_a_file_that_is_too_large_is_not_looked_at() -> None:
    content = encoded(small())
    assert isinstance(read(content, len(content)), Perf)
    refused = read(content, len(content) - 1)
    assert isinstance(refused, BadFile)
    assert "shorter span" in refused.problem


@given(st.binary(max_size=200))
def test_any_bytes_are_a_recording_or_a_refusal(content: bytes) -> None:
    assert isinstance(read(content), (Perf, BadFile))


@given(
    st.sampled_from(sorted(small())),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
)
def test_any_value_in_any_place_is_a_recording_or_a_refusal(name: str, value: object) -> None:
    assert isinstance(read(encoded(small() | {name: value})), (Perf, BadFile))
