from __future__ import annotations

import pytest

from gateway.names import (
    BadName,
    Escape,
    clean_filename,
    clean_folder,
    clean_path,
    clean_upload,
    counted,
    split_annotation,
)


@pytest.mark.parametrize(
    "name",
    ["", "..", "../x", "a..b", "/etc/passwd", "a\0b", "a\nb", "\udcff", "x/", ".", "é" * 128],
)
def test_what_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        clean_filename(name)


def test_names_are_composed_and_folders_in_front_are_dropped() -> None:
    assert clean_filename("e\u0301.png") == "é.png"
    assert clean_filename("sub/pic.png") == "pic.png"
    assert clean_filename("C\\pic (1).png") == "pic (1).png"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        ". .",
        "../x",
        "a/../x",
        "..\\x",
        "/abs",
        "\\abs",
        "a\0b",
        "x/",
        "é" * 128,
    ],
)
def test_nothing_is_kept_under_what_is_no_name(name: str) -> None:
    with pytest.raises(BadName):
        clean_upload(name)


def test_an_uploads_name_may_hold_dots_in_a_row() -> None:
    assert clean_upload("take..2.png") == "take..2.png"
    assert clean_upload("sub/..pic.png") == "..pic.png"
    assert clean_upload("C:\\e\u0301.png") == "é.png"


@pytest.mark.parametrize(
    "folder", ["..", "../x", "a/../../b", "/abs", "\\\\host\\share", "a\\..\\..\\b"]
)
def test_a_folder_that_climbs_is_an_escape(folder: str) -> None:
    with pytest.raises(Escape):
        clean_folder(folder)


def test_folders_are_normal() -> None:
    assert clean_folder("") == ""
    assert clean_folder("./a//b/") == "a/b"
    assert clean_folder("a\\b") == "a/b"
    assert clean_folder("a/x/..") == "a"


@pytest.mark.parametrize("path", ["", ".", "a/", "a/b/.."[:2], "x" * 256])
def test_a_path_must_name_a_file(path: str) -> None:
    with pytest.raises(BadName):
        clean_path(path)


def test_annotations_are_split_and_counts_are_inserted() -> None:
    assert split_annotation("pic.png [input]") == ("pic.png", "input")
    assert split_annotation("pic.png[temp]") == ("pic.png", "temp")
    assert split_annotation("pic [x].png") == ("pic [x].png", None)
    assert counted("pic.tar.gz", 2) == "pic.tar (2).gz"
    assert counted("pic", 1) == "pic (1)"
