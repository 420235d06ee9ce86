"""Classes of ``/object_info``, read once."""

from __future__ import annotations

from typing import Any

from scheduler.workflow.node_class import Described, node_class_of, read_node_class


def _info() -> dict[str, Any]:
    return {"Load": {"input": {"required": {"name": [["a", "b"], {}]}}, "output": ["IMAGE"]}}


def test_a_described_class_is_what_its_entry_says() -> None:
    info = _info()
    assert Described(info).node_class("Load") == read_node_class("Load", info["Load"])


def test_a_class_is_read_once() -> None:
    described = Described(_info())
    assert node_class_of(described, "Load") is node_class_of(described, "Load")


def test_later_definitions_are_read_anew() -> None:
    later = _info()
    later["Load"]["input"]["required"]["name"][0].append("c")
    assert node_class_of(Described(_info()), "Load").inputs[0].choices == ["a", "b"]
    assert node_class_of(Described(later), "Load").inputs[0].choices == ["a", "b", "c"]


def test_names_that_clients_make_up_are_empty_and_take_no_memory() -> None:
    described = Described(_info())
    for number in range(3):
        assert described.node_class(f"Made{number}").inputs == ()
    assert not described._read


def test_a_plain_mapping_is_read_each_time() -> None:
    info = _info()
    assert node_class_of(info, "Load") == node_class_of(info, "Load")
    info["Load"]["input"]["required"]["name"][0].append("c")
    assert node_class_of(info, "Load").inputs[0].choices == ["a", "b", "c"]
