from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from simulator.world.traces import TraceError, read_load_times, read_trace

HEAD = (
    "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,"
    "checkpoint_model_version_id,num_lora\n"
)


def row(clock: str, status: str = "SUCCEED", seconds: str = "10.0", tenant: str = "T1") -> str:
    return f"2024-11-15 {clock},TXT_2_IMG,{status},{seconds},{tenant},63.0,M1,0\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.csv"


def test_requests_come_in_order_of_time_and_start_at_zero(trace: Path) -> None:
    trace.write_text(HEAD + row("10:00:30", tenant="T2") + row("10:00:00", tenant="T1"))
    assert [(r.at, r.tenant) for r in read_trace(trace)] == [(0.0, "T1"), (30.0, "T2")]


def test_what_was_not_served_is_dropped_and_its_time_is_part_of_the_gap(trace: Path) -> None:
    trace.write_text(HEAD + row("10:00:00") + row("10:00:20", status="FAILED") + row("10:01:00"))
    assert [r.at for r in read_trace(trace)] == [0.0, 60.0]


def test_a_gap_counts_as_300_s_at_most(trace: Path) -> None:
    trace.write_text(HEAD + row("10:00:00") + row("11:00:00") + row("11:05:00") + row("11:05:01"))
    assert [r.at for r in read_trace(trace)] == [0.0, 300.0, 600.0, 601.0]


def test_a_limit_keeps_the_first_served_requests(trace: Path) -> None:
    trace.write_text(HEAD + row("10:00:00", status="FAILED") + row("10:00:01") + row("10:00:02"))
    assert len(read_trace(trace, limit=1)) == 1


def test_a_packed_trace_reads_as_the_plain_one(trace: Path, tmp_path: Path) -> None:
    trace.write_text(HEAD + row("10:00:00") + row("10:00:05"))
    packed = tmp_path / "trace.csv.gz"
    packed.write_bytes(gzip.compress(trace.read_bytes()))
    assert read_trace(packed) == read_trace(trace)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "no column 'predict_status'"),
        (HEAD + row("10:00:00", seconds="soon"), "line 2"),
        (HEAD + row("10:00:00", status="FAILED"), "no row whose predict_status is SUCCEED"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_with_its_reason(
    trace: Path, text: str, says: str
) -> None:
    trace.write_text(text)
    with pytest.raises(TraceError, match=says):
        read_trace(trace)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere\.csv"):
        read_trace(tmp_path / "nowhere.csv")


def test_load_times_are_milliseconds_in_the_file_and_seconds_here(tmp_path: Path) -> None:
    file = tmp_path / "loads.csv"
    file.write_text("timestamp,value\n1,2500.0\n2,40000\n")
    assert read_load_times(file) == [2.5, 40.0]


@pytest.mark.parametrize("text", ["value\n", "seconds\n3\n", "value\nlong\n"])
def test_load_times_without_a_single_value_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "loads.csv"
    file.write_text(text)
    with pytest.raises(TraceError, match="load times"):
        read_load_times(file)
