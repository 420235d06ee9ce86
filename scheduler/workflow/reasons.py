"""Answers of a refused prompt, in the shape and words of ComfyUI 0.3.64.

Clients show these sentences and look for these keys, so every one is fixed by
a recording. Server paths never appear: ``traceback`` is always empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from scheduler.workflow.node_class import InputSpec

#: ``{"type", "message", "details", "extra_info"}``
Reason: TypeAlias = dict[str, Any]

#: Longer lists of choices are counted, not quoted (ComfyUI's own limit).
_LIST_QUOTED_MAX = 20


def _reason(kind: str, message: str, details: str, **extra: Any) -> Reason:
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def show(value: object) -> str:
    """``str(value)``, or a stand-in where Python refuses to spell it out."""
    try:
        return str(value)
    except (ValueError, RecursionError):
        return f"<{type(value).__name__} too large to show>"


def missing_class_type(node_id: str) -> Reason:
    """A node without ``class_type``: the whole prompt is refused."""
    message = "Cannot execute because a node is missing the class_type property."
    return _reason("invalid_prompt", message, f"Node ID '#{node_id}'")


def unknown_class(node_id: str, class_type: object) -> Reason:
    """A node of a class that no worker has: the whole prompt is refused."""
    message = f"Cannot execute because node {show(class_type)} does not exist."
    return _reason("invalid_prompt", message, f"Node ID '#{node_id}'")


def no_outputs() -> Reason:
    """Nothing to execute for."""
    return _reason("prompt_no_outputs", "Prompt has no outputs", "")


def outputs_failed(of_outputs: Sequence[Reason]) -> Reason:
    """No output is left; ``details`` lists what the output nodes themselves lack."""
    details = "\n".join(f"{reason['message']}: {reason['details']}" for reason in of_outputs)
    return _reason("prompt_outputs_failed_validation", "Prompt outputs failed validation", details)


def input_missing(spec: InputSpec) -> Reason:
    """A required input is not there."""
    message = "Required input is missing"
    return _reason("required_input_missing", message, spec.name, input_name=spec.name)


def bad_link(spec: InputSpec, value: list[Any]) -> Reason:
    """A list that cannot be a link."""
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    return _about(spec, "bad_linked_input", message, spec.name, received_value=value)


def loose_link(name: str, value: list[Any]) -> Reason:
    """An input that its class does not declare links to a node that is not there.

    ComfyUI 0.3.64 does not say so: it stops working.
    """
    message = "Bad linked input, the node that it names is not in the prompt"
    return _reason("bad_linked_input", message, name, input_name=name, received_value=value)


def no_inputs(node_id: str) -> Reason:
    """A node that others link to has no object of inputs."""
    message = "Exception when validating node"
    details = f"the inputs of node {node_id} must be an object"
    return _reason(
        "exception_during_validation", message, details, exception_type="TypeError", traceback=[]
    )


def type_mismatch(spec: InputSpec, received: object, link: list[Any]) -> Reason:
    """A link carries a type that the input does not take."""
    details = f"{spec.name}, received_type({show(received)}) mismatch input_type({show(spec.type)})"
    message = "Return type mismatch between linked nodes"
    return _about(
        spec, "return_type_mismatch", message, details, received_type=received, linked_node=link
    )


def not_convertible(spec: InputSpec, value: object, error: Exception) -> Reason:
    """A value that is no INT, FLOAT or STRING."""
    message = f"Failed to convert an input value to a {spec.type} value"
    details = f"{spec.name}, {show(value)}, {error}"
    extra = {"received_value": value, "exception_message": str(error)}
    return _about(spec, "invalid_input_type", message, details, **extra)


def below_min(spec: InputSpec, value: object) -> Reason:
    """A value under the declared minimum."""
    message = f"Value {show(value)} smaller than min of {spec.options['min']}"
    return _about(spec, "value_smaller_than_min", message, spec.name, received_value=value)


def above_max(spec: InputSpec, value: object) -> Reason:
    """A value over the declared maximum."""
    message = f"Value {show(value)} bigger than max of {spec.options['max']}"
    return _about(spec, "value_bigger_than_max", message, spec.name, received_value=value)


def not_in_list(spec: InputSpec, value: object, choices: Sequence[Any]) -> Reason:
    """A combo's value that is none of its choices."""
    quoted = len(choices) <= _LIST_QUOTED_MAX
    listed = show(choices) if quoted else f"(list of length {len(choices)})"
    return _reason(
        "value_not_in_list",
        "Value not in list",
        f"{spec.name}: '{show(value)}' not in {listed}",
        input_name=spec.name,
        input_config=spec.config if quoted else None,
        received_value=value,
    )


def invalid_file(spec: InputSpec, kind: str, value: object) -> Reason:
    """A file that is not there; ``kind`` is image, audio, video or latent."""
    return _reason(
        "custom_validation_failed",
        "Custom validation failed for node",
        f"{spec.name} - Invalid {kind} file: {show(value)}",
        input_name=spec.name,
    )


def broken_node(error: Exception) -> Reason:
    """An output node whose record in the prompt makes no sense."""
    extra = {"exception_type": type(error).__qualname__, "traceback": []}
    message = "Exception when validating node"
    return _reason("exception_during_validation", message, str(error), **extra)


def broken_source(spec: InputSpec, link: list[Any], error: Exception) -> Reason:
    """A linked node whose record in the prompt makes no sense."""
    return _about(
        spec,
        "exception_during_inner_validation",
        "Exception when validating inner node",
        str(error),
        exception_message=str(error),
        exception_type=type(error).__qualname__,
        traceback=[],
        linked_node=link,
    )


def cycle(node_id: str, path: Sequence[tuple[str, str]], length: int) -> Reason:
    """A node that depends on itself through ``length`` nodes.

    ``path`` holds the (id, class) of the first ones, each linked to the next:
    were all named, N nodes would quote N each. The words are those of newer
    ComfyUI servers; 0.3.64 runs into Python's recursion limit instead.
    """
    steps = [f"{node} ({name})" for node, name in path]
    if length > len(path):
        steps.append(f"{length - len(path)} more")
    steps.append(steps[0])
    extra = {"node_id": node_id, "cycle_nodes": [node for node, _ in path]}
    return _reason("dependency_cycle", "Dependency cycle detected", " -> ".join(steps), **extra)


def _about(spec: InputSpec, kind: str, message: str, details: str, **extra: Any) -> Reason:
    return _reason(kind, message, details, input_name=spec.name, input_config=spec.config, **extra)
