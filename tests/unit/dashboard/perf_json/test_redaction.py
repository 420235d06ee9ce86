from __future__ import annotations

import pytest

from dashboard.perf_json.redaction import Names
from dashboard.perf_json.shapes import Tensor

SECRET = "a portrait of the minister"


def test_made_up_names_are_the_same_for_the_same_and_differ_for_others() -> None:
    names = Names()
    assert [names.user(one) for one in ("ann", "bob", "ann", "")] == [
        "user-1",
        "user-2",
        "user-1",
        "",
    ]
    assert names.group("ann") == "group-1"
    assert names.model("hero_of_project_x.safetensors") == "model-1"


def test_true_names_are_kept_where_they_are_asked_for() -> None:
    names = Names(true=True)
    assert (names.user("ann"), names.model("sdxl")) == ("ann", "sdxl")


@pytest.mark.parametrize("true", [False, True])
def test_texts_are_dropped_in_any_case(true: bool) -> None:
    names = Names(true=true)
    told = {
        "text": SECRET,
        SECRET: 1,
        "steps": 20,
        "cfg": 7.5,
        "on": True,
        "latent": {"shape": [1, 4, 64, 64], "dtype": "float16"},
        "image": {"shape": [1, 8, 8, 3], "dtype": SECRET},
        "odd": {"shape": [SECRET], "dtype": "float16"},
        "texts": [SECRET, {"deep": SECRET}],
        "nested": {"a": {"b": SECRET}},
    }
    assert names.values(told) == {
        "steps": 20,
        "cfg": 7.5,
        "on": True,
        "latent": Tensor(shape=[1, 4, 64, 64], dtype="float16"),
        "image": Tensor(shape=[1, 8, 8, 3], dtype=""),
    }
    assert names.values(SECRET) == {}
    assert (names.node("10:3"), names.node(SECRET)) == ("10:3", "node-1")


def test_a_sentence_is_no_word() -> None:
    names = Names(true=True)
    assert [names.word(one) for one in ("OutOfMemoryError", SECRET, "", None)] == [
        "OutOfMemoryError", "other", "", "",
    ]  # fmt: skip


def test_a_subject_tells_no_name() -> None:
    names = Names()
    assert names.subject("gpu:GPU-1") == "gpu:GPU-1"
    assert names.subject("user:ann") == "user:user-1"
    assert names.subject(f"{SECRET}: ann") == ""
    assert names.subject("thing:ann") == "thing"


def test_names_in_a_sentence_are_made_up_too_and_only_whole_ones() -> None:
    names = Names()
    told = names.text(
        "ann ran sdxl.safetensors, as annabel did", ["ann"], ["base/sdxl.safetensors"]
    )
    assert told == "user-1 ran model-1, as annabel did"
    assert names.model("sdxl.safetensors") == "model-1"


def test_who_is_in_the_way_is_not_for_others() -> None:
    names = Names(own="ann")
    assert (names.subject("user:ann"), names.subject("user:bob")) == ("user:user-1", "")
