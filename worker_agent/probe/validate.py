"""Judges a prompt by ComfyUI's own rules, in its own words, without queueing it."""

from __future__ import annotations

import copy
import inspect
import uuid
from typing import Any


async def validate(execution: Any, prompt: Any) -> dict[str, Any]:
    """Ask ComfyUI whether it would take a prompt.

    ``validate_prompt`` takes ``(prompt)`` and answers at once until 0.3.44, ``(prompt_id, prompt)`` as
    a coroutine until 0.3.47, and has the nodes to run as a third parameter since. It coerces values
    where they stand, so it gets a copy.

    Args:
        execution: ComfyUI's module.
        prompt: nodes by id.

    Returns:
        The answer of ``POST /validate``, docs/probe.md.
    """
    judge = execution.validate_prompt
    values = {"prompt_id": str(uuid.uuid4()), "prompt": copy.deepcopy(prompt)}
    parameters = list(inspect.signature(judge).parameters.values())
    arguments = [
        # a parameter that newer versions added: whatever it is, nothing is asked of it
        values.get(parameter.name)
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    answer = judge(*arguments)
    if inspect.isawaitable(answer):
        answer = await answer
    valid, error, outputs, node_errors = answer[:4]
    return {
        "valid": bool(valid),
        "error": error,
        "node_errors": node_errors,
        "outputs": list(outputs),
    }
