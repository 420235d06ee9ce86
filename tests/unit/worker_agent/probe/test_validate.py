from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from worker_agent.probe.validate import validate

PROMPT = {"1": {"class_type": "Save", "inputs": {"width": "64"}}}


def judged(prompt: dict[str, Any]) -> tuple[bool, Any, list[str], dict[str, Any]]:
    prompt["1"]["inputs"]["width"] = int(prompt["1"]["inputs"]["width"])  # as ComfyUI coerces
    return True, None, ["1"], {}


def of_2024_08(prompt: Any) -> Any:
    return judged(prompt)


async def of_0_3_45(prompt_id: str, prompt: Any) -> Any:
    assert len(prompt_id) == 36
    return judged(prompt)


async def of_0_3_64(prompt_id: Any, prompt: Any, partial_execution_list: list[str] | None) -> Any:
    assert partial_execution_list is None
    return judged(prompt)


async def of_tomorrow(
    prompt_id: Any, prompt: Any, partial: Any, options: Any = "kept", *, more: Any = "kept"
) -> Any:
    assert (options, more) == ("kept", "kept")
    return judged(prompt)


@pytest.mark.parametrize("judge", [of_2024_08, of_0_3_45, of_0_3_64, of_tomorrow])
async def test_every_versions_judgement_is_asked_for(judge: Any) -> None:
    answer = await validate(SimpleNamespace(validate_prompt=judge), PROMPT)
    assert answer == {"valid": True, "error": None, "node_errors": {}, "outputs": ["1"]}
    assert PROMPT["1"]["inputs"]["width"] == "64"


async def test_what_comfyui_says_against_a_prompt_is_handed_on_as_it_is() -> None:
    error = {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": ""}
    execution = SimpleNamespace(validate_prompt=lambda prompt: (False, error, [], {"1": {"x": 1}}))
    assert await validate(execution, PROMPT) == {
        "valid": False,
        "error": error,
        "node_errors": {"1": {"x": 1}},
        "outputs": [],
    }
