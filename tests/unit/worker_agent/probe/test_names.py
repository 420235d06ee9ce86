from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from worker_agent.probe.hooks import Hooks
from worker_agent.probe.names import hold_loaders, name_of


class Model:
    """A torch module."""


def patcher() -> Any:
    return SimpleNamespace(model=Model())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints" / "xl").mkdir(parents=True)
    (tmp_path / "checkpoints" / "xl" / "base.safetensors").touch()
    (tmp_path / "clip_l.safetensors").touch()
    (tmp_path / "t5.safetensors").touch()
    return tmp_path


def held(folder: Path, **loaders: Any) -> Any:
    sd = SimpleNamespace(**loaders)
    folders = [str(folder), str(folder / "checkpoints")]
    hold_loaders(Hooks(), sd, lambda: folders)
    return sd


def test_all_parts_of_a_checkpoint_are_known_by_its_name_in_workflows(folder: Path) -> None:
    parts = patcher(), SimpleNamespace(patcher=patcher()), SimpleNamespace(patcher=patcher()), None
    sd = held(folder, load_checkpoint_guess_config=lambda path, output_vae=True: parts)
    path = str(folder / "checkpoints" / "xl" / "base.safetensors")
    assert sd.load_checkpoint_guess_config(path, output_vae=True) is parts
    unet, clip, vae, _ = parts
    assert [name_of(one) for one in (unet, clip.patcher, vae.patcher)] == [
        "xl/base.safetensors"
    ] * 3


def test_a_clone_shares_its_models_name(folder: Path) -> None:
    loaded = patcher()
    sd = held(folder, load_diffusion_model=lambda unet_path, model_options: loaded)
    sd.load_diffusion_model(str(folder / "t5.safetensors"), model_options={})
    assert name_of(SimpleNamespace(model=loaded.model)) == "t5.safetensors"


def test_text_encoders_of_several_files_have_all_their_names(folder: Path) -> None:
    clip = SimpleNamespace(patcher=patcher())
    sd = held(folder, load_clip=lambda ckpt_paths, embedding_directory: clip)
    files = [str(folder / "clip_l.safetensors"), str(folder / "t5.safetensors")]
    sd.load_clip(ckpt_paths=files, embedding_directory=None)
    assert name_of(clip.patcher) == "clip_l.safetensors+t5.safetensors"


def test_a_model_from_elsewhere_is_named_by_its_class(folder: Path) -> None:
    assert name_of(patcher()) == "Model"
    loaded = patcher()
    sd = held(folder, load_diffusion_model=lambda state: loaded)
    sd.load_diffusion_model("not a file")
    assert name_of(loaded) == "Model"
