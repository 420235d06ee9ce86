"""What workers offer, and what of it a prompt names."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.catalogue import Catalogue, describe, missing, requires

LOADER: dict[str, Any] = {
    "input": {"required": {"ckpt_name": [["a.safetensors", "b.safetensors"], {}]}}
}
SAVE: dict[str, Any] = {"input": {"required": {"images": ["IMAGE", {}]}}, "output_node": True}
LOAD_IMAGE: dict[str, Any] = {
    "input": {"required": {"image": [["of-bob.png"], {"image_upload": True}]}}
}
INFO = {"Loader": LOADER, "Save": SAVE, "LoadImage": LOAD_IMAGE}


def graph(model: Any = "a.safetensors", **more: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "Loader", "inputs": {"ckpt_name": model}},
        "2": {"class_type": "Save", "inputs": {"images": ["1", 0]}},
        **more,
    }


def without(name: str) -> dict[str, Any]:
    kept = [one for one in LOADER["input"]["required"]["ckpt_name"][0] if one != name]
    return INFO | {"Loader": {"input": {"required": {"ckpt_name": [kept, {}]}}}}


def lacks(object_info: dict[str, Any], prompt: dict[str, Any]) -> list[str | None]:
    """What a worker with these nodes lacks for a prompt that a pool with all of them took."""
    everything = Catalogue(describe(INFO)[1])
    own = Catalogue(describe(object_info)[1])
    return [everything.name_of(one) for one in missing(own, requires(prompt, INFO, ["2"]))]


def test_a_worker_with_the_same_nodes_and_models_lacks_nothing() -> None:
    assert lacks(INFO, graph()) == []


def test_a_worker_without_the_model_lacks_it_by_name() -> None:
    assert lacks(without("a.safetensors"), graph()) == ["a.safetensors"]
    assert lacks(without("b.safetensors"), graph()) == []


def test_a_worker_without_the_class_lacks_it_even_where_no_output_needs_the_node() -> None:
    prompt = graph(spare={"class_type": "LoadImage", "inputs": {"image": "of-bob.png"}})
    assert lacks({"Loader": LOADER, "Save": SAVE}, prompt) == ["node LoadImage"]


def test_a_model_of_a_node_that_will_not_run_is_not_asked_for() -> None:
    prompt = graph(spare={"class_type": "Loader", "inputs": {"ckpt_name": "b.safetensors"}})
    assert lacks(without("b.safetensors"), prompt) == []


def test_files_of_users_are_no_part_of_a_catalogue() -> None:
    other = {"input": {"required": {"image": [["of-ann.png"], {"image_upload": True}]}}}
    assert describe(INFO)[0] == describe(INFO | {"LoadImage": other})[0]
    prompt = graph(more={"class_type": "LoadImage", "inputs": {"image": "of-bob.png"}})
    assert requires(prompt, INFO, ["2", "more"]) == requires(prompt, INFO, ["2"])


@pytest.mark.parametrize("value", [["1", 0], 5, None, {}, "nowhere.safetensors"], ids=repr)
def test_what_is_no_choice_asks_for_nothing(value: Any) -> None:
    assert lacks(without("a.safetensors"), graph(value)) == []


def test_each_of_several_choices_counts() -> None:
    both = {"__value__": ["a.safetensors", "b.safetensors"]}
    assert lacks(without("b.safetensors"), graph(both)) == ["b.safetensors"]


def test_nobody_asks_for_anything_while_no_worker_has_told_its_nodes() -> None:
    assert requires(graph(), {}, []) == ""


def test_the_order_of_nodes_and_choices_makes_no_other_catalogue() -> None:
    turned = {name: INFO[name] for name in reversed(INFO)}
    turned["Loader"] = {
        "input": {"required": {"ckpt_name": [["b.safetensors", "a.safetensors"], {}]}}
    }
    assert describe(turned) == describe(INFO)
    assert Catalogue(describe(turned)[1]) == Catalogue(describe(INFO)[1])


def test_a_graph_of_forty_nodes_adds_no_more_than_half_a_kibibyte_to_its_job() -> None:
    info = {f"Node{n}": LOADER for n in range(30)} | {"Save": SAVE}
    prompt: dict[str, Any] = {
        str(n): {"class_type": f"Node{n}", "inputs": {"ckpt_name": "a.safetensors"}}
        for n in range(30)
    }
    prompt["s"] = {"class_type": "Save", "inputs": {f"i{n}": [str(n), 0] for n in range(30)}}
    assert 0 < len(requires(prompt, info, ["s"])) <= 512


def test_what_is_no_catalogue_is_told_so() -> None:
    with pytest.raises(ValueError, match="no catalogue"):
        Catalogue(b"{}")
