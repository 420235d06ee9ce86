from __future__ import annotations

import json
import posixpath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_agent.tenancy import (
    FileRef,
    Names,
    NodeSchema,
    find_files,
    find_refs,
    input_path,
    inside,
    is_foreign,
    read_schema,
    renamed_values,
    split_annotation,
    to_worker,
    user_path,
    worker_path,
    worker_prefix,
)

USERS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,12}", fullmatch=True)
NASTY = st.text(alphabet=st.sampled_from("ab. /\\%\x00é~:\ud800"), max_size=24)
PARTS = st.text(alphabet=st.sampled_from("abc é%_-1"), min_size=1, max_size=6)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def names(user: str = "ann", **changes: Any) -> Names:
    fields: dict[str, Any] = {
        "user": user,
        "prompt_id": "theirs",
        "attempt_uuid": "ours",
        "client_id": "tab",
        "sid": "our-sid",
    }
    return Names(**(fields | changes))


@given(USERS, NASTY)
def test_no_prefix_leaves_the_users_folder(user: str, prefix: str) -> None:
    given_ = worker_prefix(user, prefix)
    # as ComfyUI takes it apart
    normal = posixpath.normpath(given_)
    assert normal.startswith(f"vg/{user}/")
    assert posixpath.dirname(normal).split("/")[:2] == ["vg", user]


@given(USERS, NASTY)
def test_no_input_path_leaves_the_users_folder(user: str, path: str) -> None:
    normal = posixpath.normpath(worker_path(user, path))
    assert normal == f"vg/{user}" or normal.startswith(f"vg/{user}/")


@given(USERS, PATHS)
def test_a_path_there_and_back_is_the_same(user: str, path: str) -> None:
    assert user_path(user, worker_path(user, path)) == inside(path)


@given(USERS, PATHS)
def test_an_output_comes_back_where_its_prefix_said(user: str, prefix: str) -> None:
    subfolder, _, stem = posixpath.normpath(worker_prefix(user, prefix)).rpartition("/")
    shown = names(user).to_user({"filename": stem, "subfolder": subfolder}, {})
    assert posixpath.join(shown["subfolder"], shown["filename"]) == (inside(prefix) or "ComfyUI")


@given(USERS, USERS)
def test_a_folder_is_foreign_to_everybody_but_its_owner(owner: str, other: str) -> None:
    assert is_foreign(other, f"vg/{owner}/x") == (owner != other)
    assert is_foreign(other, f"{other}/../vg/{owner}")


@pytest.mark.parametrize("subfolder", ["vg", "..", "/abs", "a/../../b", "..\\x"])
def test_odd_folders_are_foreign(subfolder: str) -> None:
    assert is_foreign("ann", subfolder)


@pytest.mark.parametrize("subfolder", ["", "cat", "vg/ann", "vg/ann/x", "video/vg"])
def test_ones_own_folders_are_not_foreign(subfolder: str) -> None:
    assert not is_foreign("ann", subfolder)


def test_an_empty_prefix_gets_comfyuis_own_name() -> None:
    assert worker_prefix("ann", "") == "vg/ann/ComfyUI"
    assert worker_prefix("ann", "../..") == "vg/ann/ComfyUI"


@given(USERS, PATHS)
def test_a_prefix_read_back_from_a_picture_means_the_same(user: str, prefix: str) -> None:
    once = worker_prefix(user, prefix)
    assert worker_prefix(user, once) == once


def test_tokens_of_a_prefix_stay() -> None:
    prefix = "%date:yyyy-MM-dd%/%Empty Latent Image.width%_x"
    assert worker_prefix("ann", prefix) == f"vg/ann/{prefix}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.png", ("a.png", None)),
        ("a.png [input]", ("a.png", "input")),
        ("s/a.png [output]", ("s/a.png", "output")),
        ("a.png[temp]", ("a.png", "temp")),
    ],
)
def test_annotations_are_split(value: str, expected: tuple[str, str | None]) -> None:
    assert split_annotation(value) == expected


OBJECT_INFO: dict[str, Any] = {
    "LoadImage": {
        "input": {"required": {"image": [["a.png"], {"image_upload": True}]}},
        "output_node": False,
    },
    "LoadImageOutput": {
        "input": {
            "required": {"image": ["COMBO", {"image_upload": True, "image_folder": "output"}]}
        }
    },
    "LoadLatent": {"input": {"required": {"latent": [["l.latent"]]}}},
    "Text": {"input": {"required": {"text": ["STRING", {"multiline": True}]}}},
    "SaveImage": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}},
        "output_node": True,
    },
    "Broken": {"input": None},
}
SCHEMA = read_schema(OBJECT_INFO)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def test_the_schema_keeps_files_lists_and_outputs() -> None:
    assert SCHEMA["LoadImage"] == NodeSchema(False, {"image": "input"}, frozenset())
    assert SCHEMA["LoadImageOutput"].files == {"image": "output"}
    assert SCHEMA["LoadLatent"].combos == {"latent"}
    assert SCHEMA["SaveImage"].output
    assert SCHEMA["Broken"] == NodeSchema(False, {}, frozenset())


def test_upload_inputs_name_files_whether_known_or_not() -> None:
    graph = {"1": node("LoadImage", image="clipspace/m.png [input]")}
    assert find_refs(graph, SCHEMA, ()) == [FileRef("1", "image", "input", "clipspace/m.png")]


@pytest.mark.parametrize(
    "value",
    ["./clip/a.png", "clip//a.png", "x/../clip/a.png", "clip\\a.png", "x/../clip/a.png [input]"],
)
def test_a_file_is_called_as_the_gateway_calls_it(value: str) -> None:
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": value}}}
    assert find_refs(graph, SCHEMA, ()) == [FileRef("1", "image", "input", "clip/a.png")]


def test_an_output_that_is_loaded_again_is_found_as_output() -> None:
    graph = {"1": node("LoadImageOutput", image="cat/x_00001_.png [output]")}
    assert find_refs(graph, SCHEMA, ()) == [FileRef("1", "image", "output", "cat/x_00001_.png")]


def test_a_list_names_a_file_only_if_the_gateway_found_it() -> None:
    graph = {"1": node("LoadLatent", latent="l.latent")}
    assert find_refs(graph, SCHEMA, ()) == []
    assert find_refs(graph, SCHEMA, ("l.latent",)) == [FileRef("1", "latent", "input", "l.latent")]


def test_text_is_never_a_file() -> None:
    graph = {"1": node("Text", text="a.png")}
    assert find_refs(graph, SCHEMA, ("a.png",)) == []


def test_in_an_unknown_class_a_known_file_is_one() -> None:
    graph = {"1": node("Strange", video="a.mp4", note="hello")}
    assert find_refs(graph, {}, ("a.mp4",)) == [FileRef("1", "video", "input", "a.mp4")]


def test_links_and_broken_nodes_pass_untouched() -> None:
    graph: dict[str, Any] = {"1": node("SaveImage", images=["2", 0]), "2": "?", "3": {"inputs": 1}}
    assert find_refs(graph, SCHEMA, ()) == []
    assert to_worker(graph, "ann", {}, {}) == graph


def test_the_graph_is_translated_and_the_original_is_left_alone() -> None:
    graph = {
        "1": node("LoadImage", image="a.png"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="../bob/x"),
    }
    sent = to_worker(graph, "ann", {("1", "image", ""): "vg/ann/a.png"}, {})
    assert sent["1"]["inputs"]["image"] == "vg/ann/a.png"
    assert sent["2"]["inputs"] == {"images": ["1", 0], "filename_prefix": "vg/ann/bob/x"}
    assert graph["2"]["inputs"]["filename_prefix"] == "../bob/x"


def test_an_output_node_without_a_prefix_is_marked_as_the_users() -> None:
    schema = {
        "Show": NodeSchema(output=True, files={}, combos=frozenset()),
        "Blur": NodeSchema(output=False, files={}, combos=frozenset()),
    }
    graph = {
        "1": node("Show", images=["4", 0]),
        "2": node("Show", images=["4", 0], filename_prefix="p"),
        "3": node("Show", filename_prefix=["5", 0]),
        "4": node("Blur", radius=1),
        "5": node("Strange"),
    }
    sent = to_worker(graph, "ann", {}, schema)
    assert {key for key in sent if "vg" in sent[key]["inputs"]} == {"1", "3"}
    assert sent["1"]["inputs"]["vg"] != to_worker(graph, "bob", {}, schema)["1"]["inputs"]["vg"]


def test_ids_are_translated_wherever_they_stand() -> None:
    state = {
        "prompt_id": "ours",
        "nodes": {"3": {"prompt_id": "ours", "state": "running"}},
        "by": {"ours": [1, "our-sid"]},
    }
    assert names().to_user(state, {}) == {
        "prompt_id": "theirs",
        "nodes": {"3": {"prompt_id": "theirs", "state": "running"}},
        "by": {"theirs": [1, "tab"]},
    }


_WORDS = st.sampled_from(["ours", "our-sid", "theirs", "ours ", "a: b", "", "3", "é"])


@given(
    st.recursive(
        _WORDS | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(_WORDS, inner),
    ),
    st.sampled_from(["theirs", "ours", 'odd "name', "back\\slash"]),
    st.sampled_from(["tab", None]),
)
def test_what_is_relayed_undecoded_says_the_same(value: Any, prompt: str, tab: str | None) -> None:
    both = names(prompt_id=prompt, client_id=tab)
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(both.relayed(text)) == both.to_user(value, {})


def test_outputs_get_the_name_that_the_ledger_gave_them() -> None:
    key = ("output", "vg/ann/cat", "x_00001_.png")
    message = {"gifs": [{"filename": "x_00001_.png", "subfolder": "vg/ann/cat", "type": "output"}]}
    shown = names().to_user(message, {key: ("output", "cat", "x_00002_.png")})
    assert shown == {"gifs": [{"filename": "x_00002_.png", "subfolder": "cat", "type": "output"}]}
    assert find_files(message) == [key]


def test_an_input_that_is_shown_comes_back_by_its_own_name() -> None:
    shown = names(inputs={"vg/ann/pic (1).png": "pic.png"}).to_user(
        {"filename": "pic (1).png", "subfolder": "vg/ann", "type": "input"}, {}
    )
    assert shown == {"filename": "pic.png", "subfolder": "", "type": "input"}


def test_a_path_on_the_host_is_not_passed_on() -> None:
    video = {"filename": "v.mp4", "subfolder": "vg/ann", "type": "output", "fullpath": "/srv/v.mp4"}
    assert "fullpath" not in names().to_user(video, {})


def test_files_of_a_message_are_found_once_and_inputs_are_none() -> None:
    image = {"filename": "a.png", "subfolder": "", "type": "temp"}
    message = {"a": [image, dict(image)], "b": {"filename": "i.png", "type": "input"}}
    assert find_files(message) == [("temp", "", "a.png")]


# ── models and scenes ────────────────────────────────────────────────────────

LOAD_3D = read_schema(
    {
        "Load3D": {
            "input": {
                "required": {
                    "model_file": [[], {"file_upload": True}],
                    "image": ["LOAD_3D", {}],
                    "other": ["CAMERA", {}],
                }
            }
        }
    }
)


def _scene_graph() -> dict[str, Any]:
    scene = {"image": "threed/s.png [temp]", "recording": "", "camera": {"zoom": 1}}
    inputs = {"model_file": "3d/m.glb", "image": scene, "other": {"image": "threed/o.png [temp]"}}
    return {"1": {"class_type": "Load3D", "inputs": inputs}}


def test_the_pictures_of_a_scene_are_files_and_those_of_other_objects_are_not() -> None:
    assert find_refs(_scene_graph(), LOAD_3D, ()) == [
        FileRef("1", "model_file", "input", "3d/m.glb"),
        FileRef("1", "image", "temp", "threed/s.png", "image"),
    ]


def test_a_scene_is_sent_with_the_workers_names_and_the_posted_one_stays() -> None:
    graph = _scene_graph()
    placed = {
        ref.place: f"{input_path('ann', ref.path)} [input]" for ref in find_refs(graph, LOAD_3D, ())
    }
    sent = to_worker(graph, "ann", placed, LOAD_3D)
    assert sent["1"]["inputs"] == {
        "model_file": "3d/vg/ann/m.glb [input]",
        "image": {
            "image": "vg/ann/threed/s.png [input]",
            "recording": "",
            "camera": {"zoom": 1},
        },
        "other": {"image": "threed/o.png [temp]"},
    }
    assert graph == _scene_graph()
    assert renamed_values(graph, sent) == {
        "3d/vg/ann/m.glb [input]": "3d/m.glb",
        "vg/ann/threed/s.png [input]": "threed/s.png [temp]",
    }


@given(USERS, NASTY)
def test_no_model_leaves_its_users_folder(user: str, path: str) -> None:
    normal = posixpath.normpath(input_path(user, "3d/" + path))
    assert normal in (f"vg/{user}/3d", f"3d/vg/{user}") or normal.startswith(f"3d/vg/{user}/")


@given(USERS, PATHS)
def test_a_model_there_and_back_is_the_same(user: str, path: str) -> None:
    assert user_path(user, input_path(user, f"3d/{path}")) == inside(f"3d/{path}")


def test_another_users_models_are_foreign() -> None:
    assert is_foreign("ann", "3d/vg/bob")
    assert not is_foreign("ann", "3d/vg/ann/sub")


def test_a_node_that_hands_on_its_models_name_hands_on_the_users() -> None:
    both = names(inputs={"3d/vg/ann/m.glb": "3d/m.glb"})
    assert both.to_user({"result": ["3d/vg/ann/m.glb", None]}, {}) == {"result": ["3d/m.glb", None]}
