"""Whatever a client posts, validation answers, and answers the same."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.workflow.features import features
from scheduler.workflow.validation import validate

INFO: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "recordings" / "validation" / "object_info.json").read_text()
)
IDS = [str(i) for i in range(6)]
INPUTS = sorted({name for entry in INFO.values() for name in entry["input"].get("required", {})})

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["euler", "normal", "512", "1.5", "example.png", "x.png [output]"])
)  # fmt: skip
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
links = st.tuples(st.sampled_from(IDS) | json_values, st.integers(-3, 3) | json_values).map(list)
values = links | json_values | st.builds(lambda value: {"__value__": value}, json_values)
nodes = st.fixed_dictionaries(
    {
        "class_type": st.sampled_from(sorted(INFO)),
        "inputs": st.dictionaries(st.sampled_from(INPUTS), values, max_size=8),
    }
)
graphs = st.dictionaries(st.sampled_from(IDS), nodes, max_size=6)
anything = st.dictionaries(
    st.sampled_from(IDS) | st.text(max_size=3),
    nodes | json_values | st.fixed_dictionaries({"class_type": json_values, "inputs": json_values}),
    max_size=6,
)


@st.composite
def plausible(draw: st.DrawFn) -> dict[str, Any]:
    """Graphs in which most inputs fit, so that outputs get through; cycles included."""
    classes = draw(st.dictionaries(st.sampled_from(IDS), st.sampled_from(sorted(INFO)), min_size=2))
    wild = draw(st.sampled_from([False, False, True]))
    prompt = {}
    for node_id, name in classes.items():
        inputs = {}
        for key, config in INFO[name]["input"].get("required", {}).items():
            fitting = _fitting(config, classes)
            inputs[key] = draw(fitting | values if wild else fitting)
        prompt[node_id] = {"class_type": name, "inputs": inputs}
    return prompt


def _fitting(config: list[Any], classes: dict[str, str]) -> st.SearchStrategy[Any]:
    kind = config[0]
    if isinstance(kind, list):
        return st.sampled_from(kind) if kind else st.just("x")
    if kind in ("INT", "FLOAT"):
        low, high = config[1]["min"], config[1]["max"]
        whole = st.integers(math.ceil(low), int(high))
        return whole | whole.map(str) | whole.map(lambda n: float(n % 100))
    if kind == "STRING":
        return st.text(max_size=4) | st.integers()
    sources = [
        [node_id, slot]
        for node_id, name in classes.items()
        for slot, returned in enumerate(INFO[name]["output"])
        if returned == kind
    ]
    return st.sampled_from(sources) if sources else links


def text(value: object) -> str:
    """For comparison: NaN equals itself, True is not 1."""
    return json.dumps(value)


@given(anything)
@settings(deadline=None)
def test_it_never_raises_on_any_json(prompt: dict[str, Any]) -> None:
    found = validate(prompt, INFO)
    assert found.ok == (found.error is None)
    features(found.prompt, INFO)


@given(plausible() | graphs, st.none() | st.lists(st.sampled_from(IDS)))
@settings(max_examples=100, deadline=None)
def test_it_is_deterministic_and_leaves_its_input_alone(
    prompt: dict[str, Any], targets: list[str] | None
) -> None:
    before = copy.deepcopy(prompt)
    first = validate(prompt, INFO, targets=targets)
    second = validate(prompt, INFO, targets=targets)
    assert text(prompt) == text(before)
    assert text([first.error, first.node_errors, first.outputs, first.prompt]) == text(
        [second.error, second.node_errors, second.outputs, second.prompt]
    )


@given(plausible() | graphs)
@settings(max_examples=100, deadline=None)
def test_it_is_ok_exactly_where_an_output_remains(prompt: dict[str, Any]) -> None:
    found = validate(prompt, INFO)
    assert found.ok == bool(found.outputs)
    assert not set(found.outputs) & set(found.node_errors)
    assert all(entry["errors"] for entry in found.node_errors.values())
    outputs = {
        node_id for node_id, node in prompt.items() if INFO[node["class_type"]]["output_node"]
    }
    for entry in found.node_errors.values():
        assert set(entry["dependent_outputs"]) <= outputs - set(found.outputs)


@given(plausible() | graphs)
@settings(max_examples=100, deadline=None)
def test_what_it_converted_validates_to_itself(prompt: dict[str, Any]) -> None:
    once = validate(prompt, INFO)
    again = validate(once.prompt, INFO)
    assert text(again.prompt) == text(once.prompt)
    assert again.outputs == once.outputs
    assert text(again.node_errors) == text(once.node_errors)


@given(plausible())
@settings(deadline=None)
def test_an_output_that_passed_passes_alone(prompt: dict[str, Any]) -> None:
    for output in validate(prompt, INFO).outputs:
        alone = validate(prompt, INFO, targets=[output])
        assert alone.outputs == (output,)
        assert alone.node_errors == {}
