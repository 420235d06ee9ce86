"""Prompts that no single worker could run are refused where that is certain."""

from __future__ import annotations

from typing import Any

from gateway.scattered import judge
from scheduler.catalogue import Catalogue, describe, requires
from tests.factories import worker


def info(*models: str) -> dict[str, Any]:
    return {
        "Loader": {"input": {"required": {"name": [list(models), {}]}}},
        "Save": {"input": {"required": {"m": ["MODEL", {}], "n": ["MODEL", {}]}}, "output_node": 1},
    }


GRAPH = {
    "1": {"class_type": "Loader", "inputs": {"name": "a"}},
    "2": {"class_type": "Loader", "inputs": {"name": "b"}},
    "3": {"class_type": "Save", "inputs": {"m": ["1", 0], "n": ["2", 0]}},
}
BOTH = requires(GRAPH, info("a", "b"), ["3"])
KNOWN = {
    name: Catalogue(describe(info(*models))[1])
    for name, models in {"a": ("a",), "b": ("b",), "ab": ("a", "b")}.items()
}
W0, W1 = worker("w-0", catalogue="a"), worker("w-1", catalogue="b")


def test_two_models_that_lie_on_two_workers_are_refused_with_both_places() -> None:
    refusal = judge([W0, W1], KNOWN, BOTH)
    assert refusal is not None
    assert (refusal.status, refusal.type) == (400, "no_worker_has_all")
    assert "a is only on w-0" in refusal.details
    assert "b is only on w-1" in refusal.details


def test_a_worker_that_has_both_is_enough_even_if_it_is_down_just_now() -> None:
    assert judge([W0, W1, worker("w-2", catalogue="ab")], KNOWN, BOTH) is None


def test_a_worker_that_has_not_told_may_have_both() -> None:
    assert judge([W0, W1, worker("w-2")], KNOWN, BOTH) is None


def test_a_model_that_no_catalogue_knows_yet_is_waited_for() -> None:
    assert judge([W0], KNOWN, BOTH) is None


def test_without_workers_nothing_is_certain() -> None:
    assert judge([], KNOWN, BOTH) is None
