"""Logs of workers: within bounds, and without people's texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker_agent.worker_log import MOST_LINES, LogBounds, rotate, tail

BOUNDS = LogBounds(file_bytes=100, files=2)


def written(folder: Path, *lines: str) -> Path:
    path = folder / "comfyui.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_log_within_its_bound_stays(tmp_path: Path) -> None:
    path = written(tmp_path, "x" * 99)
    rotate(path, BOUNDS)
    assert [file.name for file in tmp_path.iterdir()] == ["comfyui.log"]


def test_a_process_goes_on_writing_after_its_log_was_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "comfyui.log"
    with path.open("ab") as process:
        for word in ("one", "two", "three", "four"):
            process.write(word.encode() * 40 + b"\n")
            process.flush()
            rotate(path, BOUNDS)
        process.write(b"now\n")
    assert path.read_text() == "now\n"
    assert (tmp_path / "comfyui.log.1").read_text() == "four" * 40 + "\n"
    assert (tmp_path / "comfyui.log.2").read_text() == "three" * 40 + "\n"
    assert not (tmp_path / "comfyui.log.3").exists()
    assert (tmp_path / "comfyui.log.1").stat().st_mode & 0o077 == 0


def test_the_tail_reaches_into_the_log_put_aside(tmp_path: Path) -> None:
    path = written(tmp_path, "c")
    (tmp_path / "comfyui.log.1").write_text("a\nb\n")
    assert tail(path, 2) == ["b", "c"]
    assert tail(path, 0) == []


def test_no_more_lines_are_shown_than_the_most(tmp_path: Path) -> None:
    path = written(tmp_path, *map(str, range(MOST_LINES + 10)))
    assert len(tail(path, 10**6)) == MOST_LINES


def test_a_worker_that_has_not_written_has_an_empty_log(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log", 10) == []


SECRET = "a red fox, by night"


@pytest.mark.parametrize(
    "line",
    [
        f"invalid prompt: {{'message': '{SECRET}'}}",
        f"Failed to validate prompt for output 9: {SECRET}",
        f"  - Value not in list: ckpt_name: '{SECRET}' not in ['a.safetensors']",
        f"  - Failed to convert an input value to a INT value: seed, {SECRET}, invalid literal",
        f"  - Custom validation failed for node: image - Invalid image file: {SECRET}",
        f"  - Exception when validating inner node: {SECRET}",
        f"ValueError: cannot parse '{SECRET}'",
        f'RuntimeError: unknown word "{SECRET}"',
        f"!!! Exception during processing !!! ValueError: '{SECRET}'",
        f"api_key={SECRET}",
        f"Authorization: Bearer {SECRET}",
        "loading vg/ann/a-red-fox,by-night.png",
        f"half done: {SECRET}\rdone",
    ],
)
def test_people_s_texts_are_left_out(tmp_path: Path, line: str) -> None:
    (shown,) = tail(written(tmp_path, line), 10)
    assert "fox" not in shown


@pytest.mark.parametrize(
    "line",
    [
        "got prompt",
        "Prompt executed in 3.20 seconds",
        "torch.OutOfMemoryError: Allocation on device 0 would exceed allowed memory.",
        'File "/opt/ComfyUI/execution.py", line 496, in execute',
        "Requested to load SDXL",
    ],
)
def test_what_admins_need_stays(tmp_path: Path, line: str) -> None:
    assert tail(written(tmp_path, line), 10) == [line]


def test_nothing_reaches_a_terminal_as_a_command(tmp_path: Path) -> None:
    assert tail(written(tmp_path, "\x1b[31mred\x1b[0m\x07"), 10) == ["red"]
