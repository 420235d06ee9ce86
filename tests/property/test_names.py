"""Names that nobody would think of: a round trip changes nothing, and nothing leaves its folder."""

from __future__ import annotations

import ntpath
import posixpath
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.comfy_api.inputs import file_key as gateway_key
from gateway.names import (
    FILE_TYPES,
    BadName,
    Escape,
    clean_filename,
    clean_folder,
    clean_path,
    counted,
    split_annotation,
)
from worker_agent import tenancy
from worker_agent.tenancy import (
    Names,
    NodeSchema,
    find_refs,
    inside,
    is_foreign,
    to_worker,
    user_path,
    worker_path,
    worker_prefix,
)

USERS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,8}", fullmatch=True)
#: parts that mean something to some system: climbing, drives, devices, look-alikes of ``/`` and
#: ``.`` (fullwidth, division slash, one dot leader), right-to-left marks, nothing at all
ODD = st.sampled_from(
    [
        "..", ".", "", "...", ".. ", "..\t", " ", "~", "C:", "c:\\x", "\\\\host\\share", "CON", "nul.png",
        "\uff0f..\uff0f", "\u2215", "\u2024\u2024", "\uff0e\uff0e", "\u202e", "\u200b", "\ufeff", "e\u0301",
        "\u00e9", "\x00", "\ud800", "%2f", "%2e%2e", "..%2f", "vg", "vg/bob", "vg/ann", "a.png", "x" * 300,
        "[input]", " [output]", "[temp]", "%date:yyyy-MM-dd%", "%width%", "$HOME", "a.zip/../../x",
    ]
)  # fmt: skip
PATHS = st.lists(ODD | st.text(max_size=8), max_size=6).flatmap(
    lambda parts: st.sampled_from(["/", "\\", ""]).map(lambda between: between.join(parts))
)


def stays_below(path: str, folder: str) -> None:
    """Neither kind of system finds a way out."""
    for system in (posixpath, ntpath):
        normal = system.normpath(path).replace("\\", "/")
        assert normal == folder or normal.startswith(f"{folder}/")
    for part in path.split("/"):
        assert part.strip(". ")
    assert "\0" not in path
    path.encode()


@given(USERS, PATHS)
def test_a_workers_path_never_leaves_the_users_folder(user: str, path: str) -> None:
    stays_below(worker_path(user, path), f"vg/{user}")
    stays_below(worker_prefix(user, path), f"vg/{user}")
    assert not is_foreign(user, worker_path(user, path))


@given(USERS, USERS, PATHS)
def test_another_users_folder_is_foreign_whatever_follows(user: str, other: str, path: str) -> None:
    assert is_foreign(user, worker_path(other, path)) == (user != other)


@given(USERS, PATHS)
def test_a_path_comes_back_as_it_went(user: str, path: str) -> None:
    assert user_path(user, worker_path(user, path)) == inside(path)
    prefix = worker_prefix(user, path)
    # read back from a picture and posted again it means the same
    assert worker_prefix(user, prefix) == prefix
    assert worker_prefix(user, user_path(user, prefix)) == prefix


@given(USERS, PATHS)
def test_an_ordinary_prefix_is_kept_to_the_letter(user: str, path: str) -> None:
    plain = inside(path)
    if plain and plain == path and not plain.startswith("vg/"):
        assert worker_prefix(user, path) == f"vg/{user}/{path}"


@given(PATHS)
def test_a_clean_name_is_clean_and_stays_so(path: str) -> None:
    for clean in (clean_folder, clean_path, clean_filename):
        try:
            name = clean(path)
        except (BadName, Escape):
            continue
        assert clean(name) == name
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert "\0" not in name
        assert posixpath.join("root", name) == posixpath.normpath(posixpath.join("root", name)) or (
            name == ""
        )
        name.encode()


@given(PATHS)
def test_a_file_name_is_one_segment_and_a_counted_one_too(path: str) -> None:
    try:
        name = clean_filename(path)
    except BadName:
        return
    assert "/" not in name
    assert "\\" not in name
    assert len(name.encode()) <= 255
    assert "/" not in counted(name, 3)


@given(PATHS, st.sampled_from([None, *FILE_TYPES]))
def test_both_sides_read_an_annotation_alike(path: str, kind: str | None) -> None:
    value = path if kind is None else f"{path} [{kind}]"
    assert split_annotation(value)[1] == tenancy.split_annotation(value)[1]
    name, annotated = tenancy.split_annotation(value)
    if kind is not None:
        assert annotated == kind
        assert name == path.rstrip(" ")


@given(USERS, PATHS, st.sampled_from(["", " [input]", " [output]", " [temp]"]))
def test_an_input_reaches_the_worker_in_the_users_folder_and_comes_back(
    user: str, path: str, suffix: str
) -> None:
    schema = {"LoadImage": NodeSchema(output=False, files={"image": "input"}, combos=frozenset())}
    value = path + suffix
    graph: dict[str, Any] = {"1": {"class_type": "LoadImage", "inputs": {"image": value}}}
    key = gateway_key("input", value)
    if key is None:
        return
    # as the agent does where the gateway found such an upload
    (ref,) = find_refs(graph, schema, ())
    assert ref.type == key[0]
    placed = worker_path(user, ref.path)
    sent = to_worker(graph, user, {("1", "image", ""): placed}, schema)
    stays_below(sent["1"]["inputs"]["image"], f"vg/{user}")
    names = Names(
        user=user, prompt_id="p", attempt_uuid="a", client_id=None, sid="s",
        inputs={placed: ref.path},
    )  # fmt: skip
    folder, _, filename = placed.rpartition("/")
    shown = names.to_user({"filename": filename, "subfolder": folder, "type": "input"}, {})
    assert "/".join(part for part in (shown["subfolder"], shown["filename"]) if part) == ref.path


@given(USERS, PATHS)
def test_what_a_worker_says_of_a_users_output_shows_no_folder_of_ours(user: str, path: str) -> None:
    names = Names(user=user, prompt_id="p", attempt_uuid="a", client_id=None, sid="s")
    told = {"filename": "x_00001_.png", "subfolder": worker_path(user, path), "type": "output"}
    assert names.to_user(told, {})["subfolder"] == inside(path)
