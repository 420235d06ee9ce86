"""Validation answers as ComfyUI 0.3.64 does; the recordings are the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler.workflow.validation import DEPENDENTS_MAX, Validation, validate

RECORDINGS = Path(__file__).parents[3] / "recordings" / "validation"
OBJECT_INFO: dict[str, Any] = json.loads((RECORDINGS / "object_info.json").read_text())
CASES: list[dict[str, Any]] = json.loads((RECORDINGS / "cases.json").read_text())

INFO: dict[str, Any] = {
    **OBJECT_INFO,
    "Numbers": {
        "input": {
            "required": {
                "i": ["INT", {"min": 1, "max": 10}],
                "f": ["FLOAT", {"min": 0.5, "max": 1.5}],
                "s": ["STRING", {"forceInput": True}],
                "b": ["BOOLEAN"],
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        },
        "output": ["INT"],
        "output_node": True,
    },
    "Anything": {
        "input": {"required": {"any": ["*", {}]}, "optional": {"more": ["IMAGE,MASK", {}]}},
        "output": ["*", "MASK,LATENT"],
        "output_node": True,
    },
    "Chooser": {
        "input": {
            "required": {
                "new": ["COMBO", {"options": ["a", "b"]}],
                "many": [[f"m{i}" for i in range(21)], {}],
            },
            "optional": {
                "remote": ["COMBO", {"remote": {"route": "/x"}, "options": []}],
                "several": ["COMBO", {"options": ["a", "b"], "multiselect": True}],
            },
        },
        "output": [["a", "b"]],
        "output_node": True,
    },
    "Loader": {
        "input": {
            "required": {"file": [["x.mp4"], {"video_upload": True}]},
            "optional": {"model": [["m.glb"], {"file_upload": True}], "plain": [["p.png"], {}]},
        },
        "output": [],
        "output_node": True,
    },
    "Growing": {
        "input": {"required": {"images": ["COMFY_AUTOGROW_V3", {"template": {}}]}},
        "output": ["IMAGE"],
        "output_node": True,
    },
}
NUMBERS: dict[str, Any] = {"i": 5, "f": 1.0, "s": "x", "b": True}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def save(source: str = "1", slot: int = 0) -> dict[str, Any]:
    return node("SaveImage", images=[source, slot], filename_prefix="x")


def image(**changed: Any) -> dict[str, Any]:
    return node("EmptyImage", **{"width": 8, "height": 8, "batch_size": 1, "color": 0} | changed)


def only_error(found: Validation, node_id: str = "1") -> dict[str, Any]:
    assert list(found.node_errors) == [node_id]
    (error,) = found.node_errors[node_id]["errors"]
    result: dict[str, Any] = error
    return result


def unordered(node_errors: dict[str, Any]) -> dict[str, Any]:
    """ComfyUI judges inputs in the order of a set, which changes with each start."""
    return {
        node_id: entry | {"errors": sorted(entry["errors"], key=lambda e: json.dumps(e))}
        for node_id, entry in node_errors.items()
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_recorded_prompt_gets_the_recorded_answer(case: dict[str, Any]) -> None:
    found = validate(
        case["prompt"], INFO, exists=lambda kind, name: False, targets=case.get("targets")
    )
    assert found.ok == (case["status"] == 200)
    assert found.error == case["error"]
    assert unordered(found.node_errors) == unordered(case["node_errors"])
    if "outputs" in case:
        assert list(found.outputs) == case["outputs"]


@pytest.mark.parametrize("text", ["nan", "NaN"])
def test_a_number_that_json_has_not_stays_the_text_that_it_was(text: str) -> None:
    inputs = {"i": 1, "f": text, "s": "x", "b": True}
    checked = validate({"1": {"class_type": "Numbers", "inputs": inputs}}, INFO)
    assert checked.ok
    assert checked.prompt["1"]["inputs"]["f"] == text


def test_an_empty_list_of_inputs_is_an_empty_object() -> None:
    free = {"input": {"optional": {"s": ["STRING", {}]}}, "output": [], "output_node": True}
    checked = validate({"1": {"class_type": "Free", "inputs": []}}, {**INFO, "Free": free})
    assert checked.ok
    assert checked.prompt["1"]["inputs"] == {}
    missing = validate({"1": {"class_type": "Numbers", "inputs": []}}, INFO)
    assert {one["type"] for one in missing.node_errors["1"]["errors"]} == {"required_input_missing"}


def test_values_are_converted_in_the_copy_and_the_original_stays() -> None:
    prompt = {"1": node("Numbers", i="7", f=1, s=3.5, b=0)}
    found = validate(prompt, INFO)
    assert found.ok
    assert found.prompt["1"]["inputs"] == {"i": 7, "f": 1.0, "s": "3.5", "b": False}
    assert type(found.prompt["1"]["inputs"]["f"]) is float
    assert prompt == {"1": node("Numbers", i="7", f=1, s=3.5, b=0)}


def test_a_wrapped_value_is_unwrapped_but_a_wrapped_list_stays_no_link() -> None:
    prompt = {
        "1": node("Numbers", **NUMBERS | {"i": {"__value__": "3"}}),
        "2": node("Anything", any={"__value__": ["1", 0]}),
    }
    found = validate(prompt, INFO)
    assert found.ok
    assert found.prompt["1"]["inputs"]["i"] == 3
    assert found.prompt["2"]["inputs"]["any"] == {"__value__": ["1", 0]}


@pytest.mark.parametrize(
    ("name", "value", "kind", "words"),
    [
        ("i", 0, "value_smaller_than_min", "Value 0 smaller than min of 1"),
        ("i", 11, "value_bigger_than_max", "Value 11 bigger than max of 10"),
        (
            "i",
            float("nan"),
            "invalid_input_type",
            "Failed to convert an input value to a INT value",
        ),
        (
            "i",
            float("inf"),
            "invalid_input_type",
            "Failed to convert an input value to a INT value",
        ),
        ("i", None, "invalid_input_type", "Failed to convert an input value to a INT value"),
        ("f", "x", "invalid_input_type", "Failed to convert an input value to a FLOAT value"),
        ("f", 10**400, "invalid_input_type", "Failed to convert an input value to a FLOAT value"),
        ("f", 2, "value_bigger_than_max", "Value 2.0 bigger than max of 1.5"),
    ],
)
def test_a_number_out_of_bounds_or_none_at_all_is_refused(
    name: str, value: Any, kind: str, words: str
) -> None:
    found = validate({"1": node("Numbers", **NUMBERS | {name: value})}, INFO)
    error = only_error(found)
    assert (error["type"], error["message"]) == (kind, words)


def test_true_counts_as_the_integer_one() -> None:
    found = validate({"1": node("Numbers", **NUMBERS | {"i": True})}, INFO)
    assert found.prompt["1"]["inputs"]["i"] == 1
    assert type(found.prompt["1"]["inputs"]["i"]) is int


def test_hidden_and_undeclared_inputs_are_not_judged() -> None:
    found = validate({"1": node("Numbers", **NUMBERS, unique_id=[1], extra=[1, 2, 3])}, INFO)
    assert found.ok


def test_a_list_that_is_no_pair_is_a_bad_link() -> None:
    error = only_error(
        validate({"1": save() | {"inputs": {"images": ["1"], "filename_prefix": "x"}}}, INFO)
    )
    assert error["type"] == "bad_linked_input"
    assert error["extra_info"]["received_value"] == ["1"]


@pytest.mark.parametrize(
    ("slot", "kind", "words"),
    [
        (5, "IndexError", "tuple index out of range"),
        ("a", "TypeError", "tuple indices must be integers or slices, not str"),
    ],
)
def test_a_slot_that_does_not_exist_breaks_the_consumer(slot: Any, kind: str, words: str) -> None:
    found = validate(
        {"1": image(), "2": node("SaveImage", images=["1", slot], filename_prefix="x")}, INFO
    )
    error = only_error(found, "2")
    assert error["type"] == "exception_during_validation"
    assert error["details"] == words
    assert error["extra_info"] == {"exception_type": kind, "traceback": []}


def test_a_broken_node_upstream_is_reported_at_itself_by_its_consumer() -> None:
    prompt = {
        "1": node("ImageScale", image=["99", 0]),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    found = validate(prompt, INFO)
    error = only_error(found, "1")
    assert error["type"] == "exception_during_inner_validation"
    assert error["message"] == "Exception when validating inner node"
    assert error["details"] == "'99'"
    assert error["extra_info"]["linked_node"] == ["1", 0]
    assert error["extra_info"]["input_name"] == "images"
    assert error["extra_info"]["exception_type"] == "KeyError"
    assert found.error is not None
    assert found.error["details"] == ""


def test_a_broken_node_with_two_consumers_is_reported_once() -> None:
    prompt = {"1": node("ImageScale", image=["99", 0]), "2": save(), "3": save()}
    found = validate(prompt, INFO)
    assert only_error(found)["type"] == "exception_during_inner_validation"
    assert found.node_errors["1"]["dependent_outputs"] == ["2", "3"]


@pytest.mark.parametrize("inputs", [None, "text", [1], 3])
def test_inputs_that_are_no_object_break_only_their_node(inputs: Any) -> None:
    prompt = {"1": {"class_type": "SaveImage", "inputs": inputs}, "2": image(), "3": save("2")}
    found = validate(prompt, INFO)
    assert found.ok
    assert found.outputs == ("3",)
    assert only_error(found)["type"] == "exception_during_validation"


@pytest.mark.parametrize("bad", [None, 3, [], "class_type", ["class_type"], {"inputs": {}}])
def test_a_node_that_is_no_node_refuses_the_whole_prompt(bad: Any) -> None:
    found = validate({"a": bad}, INFO)
    assert found.error is not None
    assert found.error["details"] == "Node ID '#a'"
    assert "missing the class_type property" in found.error["message"]


def test_a_class_type_that_is_no_text_does_not_exist() -> None:
    found = validate({"a": {"class_type": ["x"], "inputs": {}}}, INFO)
    assert found.error is not None
    assert found.error["message"] == "Cannot execute because node ['x'] does not exist."


def test_any_type_links_to_anything_and_unions_need_one_in_common() -> None:
    prompt = {
        "1": image(),
        "2": node("Anything", any=["1", 0], more=["1", 0]),
        "3": node("Anything", any=["2", 0], more=["2", 1]),
        "4": node("SaveImage", images=["2", 0], filename_prefix="x"),
        "5": node("SaveImage", images=["2", 1], filename_prefix="x"),
    }
    found = validate(prompt, INFO)
    assert found.outputs == ("2", "3", "4")
    error = only_error(found, "5")
    assert error["details"] == "images, received_type(MASK,LATENT) mismatch input_type(IMAGE)"


def test_a_long_list_of_choices_is_counted_and_not_quoted() -> None:
    error = only_error(validate({"1": node("Chooser", new="a", many="x")}, INFO))
    assert error["details"] == "many: 'x' not in (list of length 21)"
    assert error["extra_info"]["input_config"] is None


def test_choices_of_a_schema_based_combo_are_checked_but_remote_ones_are_not() -> None:
    error = only_error(validate({"1": node("Chooser", new="x", many="m1", remote="y")}, INFO))
    assert error["details"] == "new: 'x' not in ['a', 'b']"


def test_a_multiselect_takes_any_of_its_choices() -> None:
    def chosen(*values: str) -> Validation:
        several = {"__value__": list(values)}
        return validate({"1": node("Chooser", new="a", many="m1", several=several)}, INFO)

    assert chosen("a", "b").ok
    assert not chosen("a", "c").ok


def test_an_uploaded_file_is_looked_up_by_folder_and_not_in_the_list() -> None:
    asked: list[tuple[str, str]] = []

    def exists(kind: str, name: str) -> bool:
        asked.append((kind, name))
        return True

    prompt = {
        "1": node("LoadImage", image="sub/mine.png [output]"),
        "2": save(),
        "3": node("Loader", file="not listed.mp4", plain="clipspace/p.png [input]"),
    }
    assert validate(prompt, INFO, exists=exists).ok
    assert asked == [
        ("output", "sub/mine.png"),
        ("input", "not listed.mp4"),
        ("input", "clipspace/p.png"),
    ]


def test_a_missing_file_is_called_by_its_kind() -> None:
    found = validate(
        {"1": node("Loader", file="a.mp4", model="b.glb")}, INFO, exists=lambda kind, name: False
    )
    assert [error["details"] for error in found.node_errors["1"]["errors"]] == [
        "file - Invalid video file: a.mp4",
        "model: 'b.glb' not in ['m.glb']",
    ]


def test_without_a_file_check_the_list_decides_about_uploads() -> None:
    assert validate({"1": node("LoadImage", image="example.png"), "2": save()}, INFO).ok
    assert not validate({"1": node("LoadImage", image="other.png"), "2": save()}, INFO).ok


def test_parts_of_a_dynamic_input_are_followed_but_not_judged() -> None:
    prompt = {"1": image(width=0), "2": node("Growing", **{"images.image0": ["1", 0]})}
    found = validate(prompt, INFO)
    assert not found.ok
    assert list(found.node_errors) == ["1"]
    assert validate({"1": image(), "2": prompt["2"]}, INFO).ok


def test_a_cycle_is_named_at_each_of_its_nodes() -> None:
    prompt = {
        "1": node("RepeatLatentBatch", samples=["2", 0], amount=1),
        "2": node("RepeatLatentBatch", samples=["1", 0], amount=1),
        "3": node("SaveLatent", samples=["1", 0], filename_prefix="x"),
    }
    found = validate(prompt, INFO)
    assert found.error is not None
    assert found.error["type"] == "prompt_outputs_failed_validation"
    assert set(found.node_errors) == {"1", "2"}
    for node_id, entry in found.node_errors.items():
        (error,) = entry["errors"]
        assert error["type"] == "dependency_cycle"
        assert (
            error["details"]
            == "1 (RepeatLatentBatch) -> 2 (RepeatLatentBatch) -> 1 (RepeatLatentBatch)"
        )
        assert error["extra_info"] == {"node_id": node_id, "cycle_nodes": ["1", "2"]}
        assert entry["dependent_outputs"] == ["3"]


def test_a_node_linked_to_itself_is_a_cycle_and_other_outputs_still_run() -> None:
    prompt = {
        "1": node("RepeatLatentBatch", samples=["1", 0], amount=1),
        "2": node("SaveLatent", samples=["1", 0], filename_prefix="x"),
        "3": image(),
        "4": save("3"),
    }
    found = validate(prompt, INFO)
    assert found.outputs == ("4",)
    assert only_error(found)["type"] == "dependency_cycle"


def test_a_node_on_two_cycles_belongs_to_the_wider_one() -> None:
    def composite(to: str, source: str) -> dict[str, Any]:
        return node("LatentComposite", samples_to=[to, 0], samples_from=[source, 0])

    info = INFO | {
        "LatentComposite": {
            "input": {"required": {"samples_to": ["LATENT"], "samples_from": ["LATENT"]}},
            "output": ["LATENT"],
        }
    }
    prompt = {
        "0": composite("1", "1"),
        "1": composite("2", "2"),
        "2": composite("1", "0"),
        "3": node("SaveLatent", samples=["0", 0], filename_prefix="x"),
    }
    found = validate(prompt, info)
    assert set(found.node_errors) == {"0", "1", "2"}
    for entry in found.node_errors.values():
        (error,) = entry["errors"]
        assert error["extra_info"]["cycle_nodes"] == ["0", "1", "2"]


def test_one_sound_source_does_not_make_up_for_a_refused_one() -> None:
    prompt = {
        "1": image(width=0),
        "2": image(),
        "3": node("Anything", any=["1", 0], more=["2", 0]),
    }
    assert not validate(prompt, INFO).ok


def test_a_chain_of_5000_nodes_is_walked_without_recursion() -> None:
    prompt = {"0": node("EmptyLatentImage", width=64, height=64, batch_size=1)}
    for i in range(1, 5000):
        prompt[str(i)] = node("RepeatLatentBatch", samples=[str(i - 1), 0], amount=1)
    prompt["s"] = node("SaveLatent", samples=["4999", 0], filename_prefix="x")
    assert validate(prompt, INFO).outputs == ("s",)
    prompt["1"]["inputs"]["samples"] = ["4999", 0]
    found = validate(prompt, INFO)
    assert len(found.node_errors) == 4999
    assert len(json.dumps(found.node_errors)) < 4_000_000


def test_a_shared_node_is_judged_once_and_lists_the_outputs_that_fail() -> None:
    prompt = {"1": image(width=0), "2": save(), "3": save()}
    found = validate(prompt, INFO)
    assert only_error(found)["details"] == "width"
    assert found.node_errors["1"]["dependent_outputs"] == ["2", "3"]


def test_the_list_of_dependent_outputs_is_bounded() -> None:
    prompt = {"1": image(width=0)} | {f"s{i}": save() for i in range(DEPENDENTS_MAX + 5)}
    found = validate(prompt, INFO)
    assert len(found.node_errors["1"]["dependent_outputs"]) == DEPENDENTS_MAX


def test_reasons_of_several_outputs_are_joined_by_lines() -> None:
    prompt = {str(i): node("SaveImage", filename_prefix="x") for i in (1, 2)}
    found = validate(prompt, INFO)
    assert found.error is not None
    assert found.error["details"] == "\n".join(["Required input is missing: images"] * 2)


def test_a_value_that_cannot_be_compared_breaks_its_node() -> None:
    info = INFO | {
        "Odd": {"input": {"required": {"x": ["ODD", {"min": 1}]}}, "output_node": True},
    }
    error = only_error(validate({"1": node("Odd", x="a")}, info))
    assert error["type"] == "exception_during_validation"
    assert error["extra_info"]["exception_type"] == "TypeError"


def test_text_nested_too_deeply_to_show_is_refused_politely() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    error = only_error(
        validate({"1": node("Numbers", **NUMBERS | {"s": {"__value__": value}})}, INFO)
    )
    assert error["type"] == "invalid_input_type"
    assert "list too large to show" in error["details"]
