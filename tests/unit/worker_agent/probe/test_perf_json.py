from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from worker_agent.probe.perf_json import PerfJson

PROMPT = {"kind": "prompt", "prompt": "p-1", "started": 0.0, "result": "success"}


def test_each_prompt_becomes_one_file_that_says_what_it_is(tmp_path: Path) -> None:
    perf = PerfJson(tmp_path, {"comfyui": "0.3.64"})
    for kind in ("node", "model", "sample", "node", "trouble"):
        perf.heard({"kind": kind})
    perf.heard(PROMPT)
    (path,) = (tmp_path / "vramgate").iterdir()
    assert path.name.endswith("_p-1.perf.json")
    content = json.loads(path.read_text())
    assert (content["format"], content["version"]) == ("vramgate.perf", 1)
    assert content["about"] == {"comfyui": "0.3.64"}
    assert content["prompt"] == PROMPT
    counts = {name: len(content[name]) for name in ("nodes", "models", "samples", "troubles")}
    assert counts == {"nodes": 2, "models": 1, "samples": 1, "troubles": 1}


def test_the_next_prompt_starts_with_nothing(tmp_path: Path) -> None:
    perf = PerfJson(tmp_path, {})
    perf.heard({"kind": "node"})
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
    perf = PerfJson(tmp_path, {})
    node: dict[str, Any] = {"kind": "node"}
    for _ in range(8192 + 5):
        perf.heard(node)
    perf.heard(PROMPT)
    (path,) = (tmp_path / "vramgate").iterdir()
    content = json.loads(path.read_text())
    assert (len(content["nodes"]), content["left_out"]) == (8192, 5)
