"""The probe's files reach workers whole, once per content, and with a token of each worker's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from config.probe import Capture, Probe, Redact, Texts
from worker_agent.probe_pack import lay_out, probe_environment, probe_token

TOKEN = "c" * 32


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "inner" / "__pycache__").mkdir(parents=True)
    (folder / "__init__.py").write_text("one")
    (folder / "inner" / "part.py").write_text("two")
    (folder / "inner" / "__pycache__" / "part.pyc").write_bytes(b"made here")
    return folder


def nodes_folder(config: Path) -> Path:
    return Path(yaml.safe_load(config.read_text())["vramgate"]["custom_nodes"])


def test_a_comfyui_is_told_where_a_whole_copy_lies(source: Path, tmp_path: Path) -> None:
    pack = lay_out(tmp_path / "data", Probe(), TOKEN, source)
    copy = nodes_folder(pack.config) / "vramgate_probe"
    names = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert names == {"__init__.py", "inner/part.py"}
    assert (copy / "inner" / "part.py").read_text() == "two"
    assert (copy / "__init__.py").stat().st_mode & 0o777 == 0o444


def test_another_content_gets_another_folder_and_the_old_one_stays(
    source: Path, tmp_path: Path
) -> None:
    old = lay_out(tmp_path, Probe(), TOKEN, source)
    assert lay_out(tmp_path, Probe(), TOKEN, source).config == old.config
    (source / "__init__.py").write_text("new")
    new = lay_out(tmp_path, Probe(), TOKEN, source)
    assert new.config != old.config
    assert (nodes_folder(old.config) / "vramgate_probe" / "__init__.py").read_text() == "one"
    assert {path.name for path in (tmp_path / "probe").iterdir()} == {
        new.config.parent.name,
        old.config.parent.name,
    }


def test_a_relative_data_folder_is_told_in_full(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pack = lay_out(Path("data"), Probe(), TOKEN, source)
    assert pack.config.is_absolute()
    assert nodes_folder(pack.config).is_dir()


def test_each_workers_token_is_its_own_and_tells_nothing_of_the_clusters() -> None:
    assert probe_token("host-0", TOKEN) != probe_token("host-1", TOKEN)
    assert probe_token("host-0", TOKEN) == probe_token("host-0", TOKEN)
    assert TOKEN not in probe_environment("host-0", Probe(), TOKEN)["VRAMGATE_PROBE"]


def test_the_probe_is_told_what_the_settings_say() -> None:
    settings = Probe(
        redact=Redact(texts=Texts.DROP, inputs=("secret",)),
        capture=Capture(enabled=True, pixels=64, budget=1000),
    )
    assert json.loads(probe_environment("host-0", settings, TOKEN)["VRAMGATE_PROBE"]) == {
        "token": probe_token("host-0", TOKEN),
        "redact": {"texts": "drop", "inputs": ["secret"]},
        "capture": {"pixels": 64, "budget_bytes": 1000},
    }
    assert "capture" not in json.loads(
        probe_environment("host-0", Probe(), TOKEN)["VRAMGATE_PROBE"]
    )


def test_the_cluster_token_is_not_shown_with_the_pack(source: Path, tmp_path: Path) -> None:
    assert TOKEN not in repr(lay_out(tmp_path, Probe(), TOKEN, source))
