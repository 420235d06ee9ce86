"""The pack loaded the way ComfyUI loads one, in a process of its own, with stand-ins around it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import worker_agent.probe
from tests.comfy_stand_in.values import VERSIONS, Version

FOLDER = Path(worker_agent.probe.__file__).parent
ROOT = FOLDER.parents[1]

#: argv: version's number, the pack's folder, the output folder, how many copies to load
SCRIPT = """
import importlib.util, json, sys, time, types
from pathlib import Path
from tests.comfy_stand_in.modules import comfy
from tests.comfy_stand_in.values import VERSIONS, Tensor

version, folder, output, copies = VERSIONS[int(sys.argv[1])], sys.argv[2], sys.argv[3], int(sys.argv[4])
made = comfy(version, {"Make": lambda **inputs: [[Tensor(1, 8, 8, 3)]]})
made.management.get_torch_device = lambda: types.SimpleNamespace(type="cpu")
server = types.ModuleType("server")
server.PromptServer = types.SimpleNamespace(instance=types.SimpleNamespace(sockets={}))
folders = types.ModuleType("folder_paths")
folders.get_output_directory = lambda: output
torch = types.ModuleType("torch")
torch.__version__ = "2"
sys.modules.update({
    "execution": made.execution, "server": server, "nodes": made.nodes, "torch": torch,
    "folder_paths": folders, "comfy": types.ModuleType("comfy"),
    "comfy.model_management": made.management,
})
if len(sys.argv) < 6:
    sys.modules["comfy.sd"] = made.sd
for copy in range(copies):
    name = f"{folder}{copy or ''}".replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder + "/__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
made.executor().execute({"1": {"class_type": "Make", "inputs": {"text": "a secret"}}}, "p", {}, ["1"])
until = time.monotonic() + 20
while not (files := list(Path(output).rglob("*.perf.json"))) and time.monotonic() < until:
    time.sleep(0.05)
time.sleep(0.3)
print(json.dumps({
    "nodes": list(module.NODE_CLASS_MAPPINGS), "names": module.NODE_DISPLAY_NAME_MAPPINGS,
    "files": [json.loads(file.read_text()) for file in Path(output).rglob("*.perf.json")],
}))
"""


def loaded(version: Version, tmp_path: Path, *more: str, env: str = "") -> dict[str, Any]:
    """What is there after ComfyUI loaded the pack and ran a prompt."""
    folder, output = tmp_path / "custom_nodes" / "vramgate_probe", tmp_path / "output"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    output.mkdir()
    number = str(VERSIONS.index(version))
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, number, str(folder), str(output), *(more or ("1",))],
        env={**os.environ, "PYTHONPATH": str(ROOT), "VRAMGATE_PROBE": env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found["log"] = done.stderr
    return found


@pytest.mark.parametrize("version", VERSIONS, ids=lambda one: one.name)
def test_alone_in_any_comfyui_a_prompt_becomes_a_file(version: Version, tmp_path: Path) -> None:
    found = loaded(version, tmp_path)
    assert found["names"] == {"VramgatePerformanceMonitor": "Performance Monitor"}
    (file,) = found["files"]
    assert (file["format"], file["runs"][0]["result"]) == ("vramgate.perf", "success")
    assert [one["class"] for one in file["nodes"]] == ["Make"]
    assert file["about"]["missing"] == []
    assert "a secret" not in json.dumps(file)


def test_a_second_copy_of_the_pack_does_nothing(tmp_path: Path) -> None:
    found = loaded(VERSIONS[-1], tmp_path, "2")
    assert len(found["files"]) == 1
    assert "another copy" in found["log"]


def test_a_module_that_a_version_has_not_is_named_as_missing(tmp_path: Path) -> None:
    (file,) = loaded(VERSIONS[2], tmp_path, "1", "without comfy.sd")["files"]
    assert file["about"]["missing"] == ["comfy.sd"]


def test_settings_that_cannot_be_used_are_told_and_the_pack_works_alone(tmp_path: Path) -> None:
    found = loaded(VERSIONS[2], tmp_path, env="{not json}")
    assert len(found["files"]) == 1
    assert "VRAMGATE_PROBE must hold a JSON object" in found["log"]
