from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from dashboard.perf_json.reading import read
from dashboard.perf_json.schema import DOCS, PAGE, page_text, schema, text
from dashboard.perf_json.shapes import Perf
from tests.unit.dashboard.perf_json.files import check_schema, encoded, small
from tests.unit.worker_agent.probe.test_perf_json import ALL, PROMPT
from worker_agent.probe.perf_json import PerfJson


@pytest.mark.parametrize(("path", "made"), [(DOCS, text), (PAGE, page_text)])
def test_the_schema_in_the_tree_is_that_of_the_types(path: Path, made: object) -> None:
    assert callable(made)
    assert path.read_text() == made(), "run: python -m dashboard.perf_json.schema"


def test_the_schema_is_one() -> None:
    jsonschema_rs.meta.validate(schema())


def test_what_the_probe_writes_is_of_the_schema_and_read_whole(tmp_path: Path) -> None:
    perf = PerfJson(tmp_path, {"comfyui": "0.3.64", "hooks": ["execute"], "missing": []})
    for record in ALL:
        perf.heard(record)
    perf.heard(PROMPT)
    (path,) = tmp_path.rglob("*.perf.json")
    check_schema(path.read_bytes())
    found = read(path.read_bytes())
    assert isinstance(found, Perf)
    assert [node.cls for node in found.nodes] == ["KSampler", "KSampler"]
    assert found.nodes[0].inputs == {"steps": 20, "text": "a1b2c3"}
    assert (found.runs[0].peak_allocated, found.memory[0].device_free) == (40, [None])


def test_the_small_recording_of_these_tests_is_one() -> None:
    check_schema(encoded(small()))
    assert isinstance(read(encoded(small())), Perf)


def test_what_the_reader_refuses_the_schema_refuses() -> None:
    for change in ({"nodes": [{"job": "j"}]}, {"version": "2.0"}, {"jobs": 3}, {"about": None}):
        content = small() | change
        with pytest.raises(jsonschema_rs.ValidationError):
            check_schema(encoded(content))
        assert not isinstance(read(encoded(content)), Perf)
