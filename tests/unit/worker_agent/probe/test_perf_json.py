from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker_agent.probe.perf_json import PerfJson

PROMPT: dict[str, Any] = {
    "kind": "prompt", "at": 3.5, "prompt": "p-1", "started": 1.0, "seconds": 2.5,
    "result": "success", "nodes": 2, "cached": 1, "limit": None, "loads": 1, "load_seconds": 0.5,
    "overlap": False, "retained": {"VAEDecode": 7}, "peak_allocated": 40, "peak_reserved": 50,
    "allocated": [1, 2], "reserved": [3, 4],
}  # fmt: skip
NODE: dict[str, Any] = {
    "kind": "node", "at": 2.0, "prompt": "p-1", "node": "3", "class": "KSampler", "started": 1.2,
    "seconds": 0.8, "calls": 1, "cached": False, "result": "success",
    "inputs": {"steps": 20, "text": "a1b2c3"}, "allocated": [1, 2], "peak": 9, "out_bytes": 5,
    "outputs": {"LATENT": {"shape": [1, 4, 64, 64], "dtype": "float16"}},
}  # fmt: skip
MODEL: dict[str, Any] = {
    "kind": "model", "at": 1.5, "prompt": "p-1", "node": "3", "what": "load", "model": "SDXL",
    "bytes": 10, "loaded_bytes": 8, "seconds": 0.5,
}  # fmt: skip
SAMPLE: dict[str, Any] = {
    "kind": "sample", "at": 1.25, "prompt": "p-1", "allocated": 1, "reserved": 2,
    "device_free": None, "limit": None,
}  # fmt: skip
TROUBLE: dict[str, Any] = {"kind": "trouble", "at": 2.0, "where": "outputs", "error": "ValueError"}
GAP: dict[str, Any] = {"kind": "gap", "at": 2.5, "lost": 3}
ALL = (NODE, MODEL, SAMPLE, NODE, TROUBLE, GAP)


def written(folder: Path, *records: dict[str, Any]) -> dict[str, Any]:
    perf = PerfJson(folder, {"comfyui": "0.3.64"})
    for record in records:
        perf.heard(record)
    perf.heard(PROMPT)
    (path,) = (folder / "vramgate").iterdir()
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_each_prompt_becomes_one_file_that_says_what_it_is(tmp_path: Path) -> None:
    content = written(tmp_path, *ALL)
    assert next((tmp_path / "vramgate").iterdir()).name.endswith("_p-1.perf.json")
    assert (content["format"], content["version"]) == ("vramgate.perf", "1.0")
    assert (content["about"]["comfyui"], content["about"]["scope"]) == ("0.3.64", "prompt")
    counts = {name: len(content[name]) for name in ("nodes", "moves", "memory", "troubles", "gaps")}
    assert counts == {"nodes": 2, "moves": 1, "memory": 1, "troubles": 1, "gaps": 1}
    assert content["span"] == {"from_ms": 1000, "until_ms": 3500}
    (run,) = content["runs"]
    assert (run["seconds"], run["peak_reserved"], run["reserved_after"]) == (2.5, 50, 4)


def test_the_next_prompt_starts_with_nothing(tmp_path: Path) -> None:
    perf = PerfJson(tmp_path, {})
    perf.heard(NODE)
    perf.heard(PROMPT)
    perf.heard({**PROMPT, "prompt": "p-2"})
    (path,) = (tmp_path / "vramgate").glob("*p-2*")
    assert json.loads(path.read_text())["nodes"] == []


@pytest.mark.parametrize("prompt", ["../../x", "/etc/x", "a\x00b", "", "x" * 500])
def test_an_id_that_a_client_chose_is_no_path(tmp_path: Path, prompt: str) -> None:
    PerfJson(tmp_path, {}).heard({**PROMPT, "prompt": prompt})
    (path,) = tmp_path.rglob("*.perf.json")
    assert path.parent == tmp_path / "vramgate"


def test_a_prompt_without_end_fills_no_memory(tmp_path: Path) -> None:
    content = written(tmp_path, *(NODE for _ in range(8192 + 5)))
    assert len(content["nodes"]) == 8192
    assert content["left_out"] == [{"part": "records", "count": 5, "why": "more than 8192 records"}]
