from __future__ import annotations

from pathlib import Path

import pytest

from simulator.gpu import SimulatedGpu
from simulator.launch import prepare_gpus, worker_command
from simulator.spec import SimulationSpec


def test_every_key_is_read() -> None:
    assert SimulationSpec.parse("gpus=2, vram=48GiB,workers=3,speed=10") == SimulationSpec(
        gpus=2, vram_bytes=48 * 2**30, workers=3, speed=10.0
    )


def test_what_is_left_out_keeps_its_default() -> None:
    assert SimulationSpec.parse("") == SimulationSpec(1, 24 * 2**30, 2, 1.0)


def test_a_spec_reads_back_what_it_prints() -> None:
    spec = SimulationSpec(3, 10 * 2**30, 1, 2.5)
    assert SimulationSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("gpu=2", "unknown key 'gpu'"),
        ("gpus", "gpus has no value"),
        ("gpus=two", "gpus=two is no whole number from 0"),
        ("workers=0", "workers=0 is no whole number from 1"),
        ("vram=lots", "vram: 'lots' is no size"),
        ("vram=24", "vram=24 is less than 1GiB"),
        ("speed=0", "speed=0 is no number above 0"),
        ("speed=nan", "speed=nan is no number above 0"),
        ("gpus=1000000", "2000000 simulated workers"),
        ("gpus=0,workers=65", "65 simulated workers"),
    ],
)
def test_a_bad_spec_names_the_key_and_gives_an_example(text: str, named: str) -> None:
    with pytest.raises(ValueError, match="gpus=2,vram=24GiB,workers=2,speed=10") as error:
        SimulationSpec.parse(text)
    assert named in str(error.value)


def test_an_unknown_key_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="known keys are gpus, vram, workers, speed"):
        SimulationSpec.parse("cores=4")


def test_prepared_gpus_are_cards_with_names_of_their_own(tmp_path: Path) -> None:
    directories = prepare_gpus(SimulationSpec(gpus=2, vram_bytes=2**35), tmp_path)
    cards = [SimulatedGpu.open(directory) for directory in directories]
    assert [card.index for card in cards] == [0, 1]
    assert [card.total_bytes for card in cards] == [2**35, 2**35]
    assert len({card.uuid for card in cards}) == 2


def test_a_worker_without_a_gpu_says_so_in_its_command(tmp_path: Path) -> None:
    command = worker_command("python", 8188, None, tmp_path, SimulationSpec(speed=2))
    assert command[command.index("--gpu-dir") + 1] == "none"
    assert command[command.index("--speed") + 1] == "2"
