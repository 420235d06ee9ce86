"""What would stop a worker for good does not reach it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler.workflow.reach import find_faults
from scheduler.workflow.validation import Validation, validate

RECORDINGS = Path(__file__).parents[3] / "recordings" / "validation"
INFO: dict[str, Any] = json.loads((RECORDINGS / "object_info.json").read_text())
IMAGE = {"width": 8, "height": 8, "batch_size": 1, "color": 0}


def graph(**more: Any) -> dict[str, Any]:
    """A picture, its saving, and another saving that stands for itself."""
    made = {"1": {"class_type": "EmptyImage", "inputs": dict(IMAGE)}}
    made["4"] = {"class_type": "EmptyImage", "inputs": dict(IMAGE)}
    for node_id, source in (("2", "1"), ("3", "4")):
        inputs = {"images": [source, 0], "filename_prefix": "x"}
        made[node_id] = {"class_type": "SaveImage", "inputs": inputs}
    return made | more


def kinds(found: Validation) -> dict[str, list[str]]:
    return {key: [one["type"] for one in node["errors"]] for key, node in found.node_errors.items()}


@pytest.mark.parametrize("at", ["1", "2"])
@pytest.mark.parametrize("slot", [0, 9, 0.5, True])
def test_an_undeclared_link_to_nowhere_costs_the_outputs_that_lead_to_it(
    at: str, slot: Any
) -> None:
    prompt = graph()
    prompt[at]["inputs"]["stale"] = ["gone", slot]
    found = validate(prompt, INFO)
    assert found.ok
    assert found.outputs == ("3",)
    assert kinds(found) == {at: ["bad_linked_input"]}
    assert found.node_errors[at]["dependent_outputs"] == ["2"]


def test_where_nothing_is_left_the_prompt_is_refused() -> None:
    prompt = graph()
    for node_id in ("2", "3"):
        prompt[node_id]["inputs"]["stale"] = ["gone", 0]
    found = validate(prompt, INFO)
    assert not found.ok
    assert found.error is not None
    assert found.error["type"] == "prompt_outputs_failed_validation"
    assert "stale" in found.error["details"]


@pytest.mark.parametrize("value", ["gone", ["gone"], ["gone", "0"], [1, 0], ["gone", 0, 0], {}])
def test_what_is_no_link_stays(value: Any) -> None:
    prompt = graph()
    prompt["1"]["inputs"]["stale"] = value
    found = validate(prompt, INFO)
    assert found.outputs == ("2", "3")
    assert found.prompt["1"]["inputs"]["stale"] == value


@pytest.mark.parametrize("inputs", [None, "text", [1], 3])
def test_a_node_without_inputs_is_left_out_or_costs_what_leads_to_it(inputs: Any) -> None:
    broken = {"class_type": "EmptyImage", "inputs": inputs}
    apart = validate(graph(b=broken), INFO)
    assert apart.outputs == ("2", "3")
    assert "b" not in apart.prompt
    prompt = graph(b=broken)
    prompt["1"]["inputs"]["stale"] = ["b", 0]
    linked = validate(prompt, INFO)
    assert linked.outputs == ("3",)
    assert kinds(linked) == {"b": ["exception_during_validation"]}
    assert "b" not in linked.prompt


def test_a_long_chain_and_a_circle_of_undeclared_links_are_walked_once() -> None:
    nodes = {str(n): {"inputs": {"a": [str(n + 1), 0]}} for n in range(50_000)}
    nodes["50000"] = {"inputs": {"a": ["0", 0], "b": ["gone", 0]}}
    faults = find_faults(nodes, ["0"])
    assert list(faults.reasons) == ["50000"]
    assert len(faults.tainted) == 50_001
