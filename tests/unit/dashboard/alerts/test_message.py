"""What people read in a message."""

from __future__ import annotations

import json

from dashboard.alerts.grouping import Due
from dashboard.alerts.message import body_of, text_of
from tests.unit.dashboard.alerts.made import alert


def lines(**changes: object) -> list[str]:
    due = Due(receiver="mail", group="rule=hot_gpu", firing=(alert(**changes),), ended=())
    return text_of(json.loads(body_of(due, "m", [], {}, 1, ""))).splitlines()


def test_a_gpu_is_named_by_its_host_and_number() -> None:
    detail = {"text": "91 °C", "gpu": "GPU-0f3", "agent": "studio-a", "index": 1}
    first, second, *_ = lines(rule="hot_gpu", subject="gpu:GPU-0f3", detail=detail)
    assert first == "Firing: hot_gpu (warning) studio-a GPU 1"
    assert second == "  91 °C"


def test_a_gpu_whose_alert_is_of_an_older_version_and_anything_else_keep_their_subject() -> None:
    older = {"text": "91 °C", "gpu": "GPU-0f3", "agent": "studio-a"}
    assert lines(rule="hot_gpu", subject="gpu:GPU-0f3", detail=older)[0].endswith("gpu:GPU-0f3")
    worker = {"agent": "studio-a", "index": 1}
    assert lines(subject="worker:w-0", detail=worker)[0].endswith("worker:w-0")
