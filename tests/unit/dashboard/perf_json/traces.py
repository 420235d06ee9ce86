"""Holds a trace against what Perfetto wants of one, stricter than Perfetto does."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

Event = dict[str, Any]


def check_trace(content: bytes) -> list[Event]:
    """All events, if they are right."""
    trace = json.loads(content)
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    events: list[Event] = trace["traceEvents"]
    for event in events:
        assert event["ph"] in "MXCsf", event
        assert all(type(event[name]) is int for name in ("pid", "tid", "ts")), event
        assert event["pid"] > 0, event
        assert event["ts"] >= 0, event
        assert isinstance(event["name"], str), event
        assert event["name"], event
    named = {event["pid"] for event in events if event["name"] == "process_name"}
    assert {event["pid"] for event in events} == named
    slices = [event for event in events if event["ph"] == "X"]
    _check_slices(slices, events)
    _check_flows(slices, events)
    for event in events:
        if event["ph"] == "C":
            assert event["args"]
            assert all(isinstance(one, (int, float)) for one in event["args"].values()), event
    return events


def _check_slices(slices: list[Event], events: list[Event]) -> None:
    threads = {(one["pid"], one["tid"]) for one in events if one["name"] == "thread_name"}
    by_thread: dict[tuple[int, int], list[Event]] = defaultdict(list)
    for one in slices:
        assert type(one["dur"]) is int, one
        assert one["dur"] >= 0, one
        by_thread[one["pid"], one["tid"]].append(one)
    assert set(by_thread) == threads
    for some in by_thread.values():
        some.sort(key=lambda one: one["ts"])
        ends = [one["ts"] + one["dur"] for one in some]
        for end, later in zip(ends, some[1:], strict=False):
            assert later["ts"] >= end, ("slices of one thread overlap", later)


def _check_flows(slices: list[Event], events: list[Event]) -> None:
    """Each arrow leaves a slice, and comes to one that begins there."""
    begins = {(one["pid"], one["tid"], one["ts"]) for one in slices}
    starts = {one["id"]: one for one in events if one["ph"] == "s"}
    ends = {one["id"]: one for one in events if one["ph"] == "f"}
    assert starts.keys() == ends.keys()
    for name, end in ends.items():
        assert end["bp"] == "e"
        assert starts[name]["ts"] <= end["ts"]
        for one in (starts[name], end):
            assert (one["pid"], one["tid"], one["ts"]) in begins, one
