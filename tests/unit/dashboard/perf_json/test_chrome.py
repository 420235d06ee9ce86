from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dashboard.perf_json.chrome import ChromeTrace
from dashboard.perf_json.parts import entries_of, head_of
from dashboard.perf_json.reading import read
from dashboard.perf_json.shapes import Perf
from tests.unit.dashboard.perf_json.files import T0, encoded, small
from tests.unit.dashboard.perf_json.traces import Event, check_trace


def events_of(content: dict[str, Any]) -> list[Event]:
    perf = read(encoded(content))
    assert isinstance(perf, Perf)
    trace = ChromeTrace()
    parts = [trace.begin(head_of(perf)), *(trace.add(one) for one in entries_of(perf)), trace.end()]
    return check_trace(b"".join(parts))


def test_queue_gpus_and_workers_are_processes_with_slices_and_counters() -> None:
    events = events_of(small())
    processes = {one["pid"]: one["args"]["name"] for one in events if one["name"] == "process_name"}
    assert list(processes.values()) == ["queue", "GPU gpu-0", "worker host-0 on GPU gpu-0"]
    slices = {
        (processes[one["pid"]].split()[0], one["name"]): (one["ts"] - T0 * 1000, one["dur"])
        for one in events
        if one["ph"] == "X"
    }
    assert slices == {
        ("queue", "user-1 waits"): (0, 1_000_000),
        ("worker", "user-1 j1"): (1_000_000, 10_000_000),
        ("worker", "KSampler"): (1_000_000, 8_000_000),
        ("worker", "VAEDecode"): (9_000_000, 2_000_000),
        ("worker", "load SDXL"): (1_500_000, 500_000),
        ("GPU", "no figures"): (12_000_000, 3_000_000),
    }
    vram = [one for one in events if one["name"] == "VRAM bytes"]
    assert vram[0]["args"] == {"foreign": 1, "resident": 2, "reserved": 3, "free": 94}


def test_an_arrow_leads_from_the_queue_to_the_run() -> None:
    events = events_of(small())
    (start,) = (one for one in events if one["ph"] == "s")
    (end,) = (one for one in events if one["ph"] == "f")
    assert (start["ts"], end["ts"]) == (T0 * 1000, (T0 + 1000) * 1000)


def test_a_fallback_and_a_failure_have_colours_of_their_own() -> None:
    content = small()
    content["nodes"][0]["error"] = "OutOfMemoryError"
    colours = {one["name"]: one.get("cname") for one in events_of(content) if one["ph"] == "X"}
    assert (colours["KSampler"], colours["VAEDecode"]) == ("terrible", "bad")


def test_nodes_that_follow_each_other_share_a_thread() -> None:
    """A begin is a whole millisecond, an end is not."""
    content = small()
    content["nodes"][0]["seconds"] = 8.0006
    nodes = [one for one in events_of(content) if one.get("cat") == "node"]
    assert len({one["tid"] for one in nodes}) == 1
    assert nodes[1]["ts"] == nodes[0]["ts"] + nodes[0]["dur"]


def test_what_nobody_introduced_is_left_out() -> None:
    content = small()
    content["nodes"].append(
        {"job": "other", "node": "1", "class": "A", "started_ms": T0, "seconds": 1.0}
    )
    content["memory"].append(
        {"worker": "unknown", "at_ms": [T0], "allocated": [1], "reserved": [1]}
    )
    assert len(events_of(content)) == len(events_of(small()))


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 20)), max_size=30))
def test_nodes_that_overlap_lie_on_threads_of_their_own(times: list[tuple[int, float]]) -> None:
    content = small()
    content["nodes"] = [
        {"job": "j1", "node": str(number), "class": "A", "started_ms": T0 + at, "seconds": seconds}
        for number, (at, seconds) in enumerate(times)
    ]
    nodes = [one for one in events_of(content) if one.get("cat") == "node"]
    assert len(nodes) == len(times)
