from __future__ import annotations

import time
from pathlib import Path

import pytest

from simulator.comfyui.saving import save_place


def test_the_next_number_follows_the_highest_there(tmp_path: Path) -> None:
    for name in ("a_00001_.png", "a_00007_.png", "a_x_.png", "ab_00050_.png"):
        (tmp_path / name).touch()
    place = save_place(tmp_path, "a", 8, 8)
    assert [place.file_name(offset, ".png") for offset in (0, 1)] == [
        "a_00008_.png",
        "a_00009_.png",
    ]


def test_words_in_a_prefix_are_expanded(tmp_path: Path) -> None:
    place = save_place(tmp_path, "t/%year%/%width%x%height%", 64, 48)
    assert place.subfolder == f"t/{time.localtime().tm_year}"
    assert place.file_name(0, ".png") == "64x48_00001_.png"
    assert place.folder.is_dir()


def test_the_number_in_the_batch_can_stand_in_the_name(tmp_path: Path) -> None:
    place = save_place(tmp_path, "n%batch_num%", 8, 8)
    assert place.file_name(2, ".png") == "n2_00003_.png"


@pytest.mark.parametrize("prefix", ["../x", "a/../../x", "/etc/x"])
def test_a_prefix_that_leads_out_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(Exception, match="outside the output folder"):
        save_place(tmp_path, prefix, 8, 8)
    assert list(tmp_path.iterdir()) == []
