from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from config.probe import Probe
from config.settings import Comfyui
from worker_agent.launch import NotComfyui, comfyui_specs, worker_environment
from worker_agent.nvml import GpuReading
from worker_agent.probe_pack import lay_out


def card(index: int) -> GpuReading:
    return GpuReading(uuid=f"GPU-{index}", index=index, name="Card", total_bytes=1, used_bytes=0)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    (folder / "main.py").touch()
    return folder


def test_each_gpu_gets_its_workers_with_folders_of_their_own(
    checkout: Path, tmp_path: Path
) -> None:
    settings = Comfyui(path=checkout, workers_per_gpu=2, args=("--lowvram",))
    ports = itertools.count(9000)
    specs = comfyui_specs(settings, [card(0), card(1)], "host", tmp_path / "d", lambda: next(ports))
    assert [spec.id for spec in specs] == ["host-0", "host-1", "host-2", "host-3"]
    assert [spec.gpu_uuid for spec in specs] == ["GPU-0", "GPU-0", "GPU-1", "GPU-1"]
    assert [spec.env["CUDA_VISIBLE_DEVICES"] for spec in specs][1:3] == ["GPU-0", "GPU-1"]
    assert len({spec.url for spec in specs}) == 4
    assert len({str(spec.folders) for spec in specs}) == 4
    assert "--cpu" not in specs[0].command
    assert specs[0].command[-1] == "--lowvram"
    options = dict(itertools.pairwise(specs[0].command))
    assert options["--listen"] == "127.0.0.1"
    # 0.3.64 does not make it
    assert Path(options["--user-directory"]).is_dir()
    assert options["--database-url"].endswith("host-0/comfyui.db")


def test_without_a_gpu_workers_compute_on_the_cpu(checkout: Path, tmp_path: Path) -> None:
    specs = comfyui_specs(Comfyui(path=checkout), [], "host", tmp_path, lambda: 9000)
    assert len(specs) == 1
    assert "--cpu" in specs[0].command
    assert specs[0].gpu_uuid is None


def test_the_checkouts_own_interpreter_is_used(checkout: Path, tmp_path: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    (spec,) = comfyui_specs(Comfyui(path=checkout), [], "host", tmp_path, lambda: 9000)
    assert spec.command[0] == str(python)


def test_a_folder_without_main_py_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotComfyui, match=r"no main\.py"):
        comfyui_specs(Comfyui(path=tmp_path), [], "host", tmp_path, lambda: 1)


def test_our_import_path_and_secrets_do_not_reach_a_worker() -> None:
    ours = {"PYTHONPATH": "/x", "VRAMGATE_CLUSTER__TOKEN": "t", "PATH": "/bin", "VIRTUAL_ENV": "v"}
    assert worker_environment(ours) == {"PATH": "/bin"}


def test_workers_start_with_their_probe_beside_an_admins_own_paths(
    checkout: Path, tmp_path: Path
) -> None:
    settings = Comfyui(
        path=checkout, workers_per_gpu=2, args=("--extra-model-paths-config", "/own.yaml")
    )
    pack = lay_out(tmp_path, Probe(), "c" * 32, checkout)
    specs = comfyui_specs(settings, [], "host", tmp_path, lambda: 9000, probe=pack)
    given = [
        spec.command[at + 1]
        for spec in specs
        for at, word in enumerate(spec.command)
        if word == "--extra-model-paths-config"
    ]
    assert given == [str(pack.config), "/own.yaml"] * 2
    assert specs[0].env["VRAMGATE_PROBE"] != specs[1].env["VRAMGATE_PROBE"]


def test_without_a_probe_nothing_of_it_reaches_a_worker(checkout: Path, tmp_path: Path) -> None:
    (spec,) = comfyui_specs(Comfyui(path=checkout), [], "host", tmp_path, lambda: 9000)
    assert "VRAMGATE_PROBE" not in spec.env
    assert "--extra-model-paths-config" not in spec.command


@pytest.mark.parametrize(
    ("args", "given"), [((), ["--disable-cuda-malloc"]), (("--cuda-malloc",), ["--cuda-malloc"])]
)
def test_a_gpus_workers_use_the_allocator_that_can_be_capped_unless_told_otherwise(
    checkout: Path, tmp_path: Path, args: tuple[str, ...], given: list[str]
) -> None:
    pack = lay_out(tmp_path, Probe(), "c" * 32, checkout)
    settings = Comfyui(path=checkout, args=args)
    (spec,) = comfyui_specs(settings, [card(0)], "host", tmp_path, lambda: 9000, probe=pack)
    assert [word for word in spec.command if word.endswith("cuda-malloc")] == given
    assert ("PYTORCH_CUDA_ALLOC_CONF" in spec.env) is not bool(args)
    (spec,) = comfyui_specs(Comfyui(path=checkout), [], "host", tmp_path, lambda: 1, probe=pack)
    assert "--disable-cuda-malloc" not in spec.command


def test_weights_are_not_paged_outside_torch_where_a_version_would(
    checkout: Path, tmp_path: Path
) -> None:
    pack = lay_out(tmp_path, Probe(), "c" * 32, checkout)

    def given(*args: str) -> bool:
        settings = Comfyui(path=checkout, args=args)
        (spec,) = comfyui_specs(settings, [card(0)], "host", tmp_path, lambda: 1, probe=pack)
        return "--disable-dynamic-vram" in spec.command

    assert not given()
    (checkout / "comfy").mkdir()
    (checkout / "comfy" / "cli_args.py").write_text('add_argument("--disable-dynamic-vram")')
    assert given()
    assert not given("--enable-dynamic-vram")


def test_sets_change_numbers_and_arguments_of_the_gpus_that_they_match(
    checkout: Path, tmp_path: Path
) -> None:
    settings = Comfyui.model_validate(
        {
            "path": checkout,
            "workers_per_gpu": 2,
            "args": ["--fast"],
            "sets": [
                {"match": "1", "workers": 1, "args": ["--lowvram"]},
                {"match": "host-0", "args": ["--novram"]},
            ],
        }
    )
    specs = comfyui_specs(settings, [card(0), card(1)], "host", tmp_path / "d", lambda: 9000)
    assert [spec.gpu_uuid for spec in specs] == ["GPU-0", "GPU-0", "GPU-1"]
    assert [spec.command[spec.command.index("--fast") :] for spec in specs] == [
        ("--fast", "--novram"),
        ("--fast",),
        ("--fast", "--lowvram"),
    ]


def test_a_set_may_leave_a_gpu_alone(checkout: Path, tmp_path: Path) -> None:
    settings = Comfyui.model_validate(
        {"path": checkout, "sets": [{"match": "GPU-0", "workers": 0}]}
    )
    specs = comfyui_specs(settings, [card(0), card(1)], "host", tmp_path / "d", lambda: 9000)
    assert [(spec.id, spec.gpu_uuid) for spec in specs] == [("host-0", "GPU-1")]
