"""Node classes that some users may not use."""

from __future__ import annotations

from typing import Any

import pytest

from config.roles import Role
from config.settings import Settings
from gateway.denied import is_denied, patterns, refuse, without

SHELL: dict[str, Any] = {"1": {"class_type": "RunShellCommand", "inputs": {}}}
RULES: dict[str, Any] = {
    "nodes": {
        "deny": [
            {"classes": ["*Shell*"]},
            {"classes": ["Preview*"], "roles": ["admin"], "groups": ["interns"]},
        ]
    }
}


def denied(role: Role, group: str = "default") -> tuple[str, ...]:
    return patterns(Settings.model_validate(RULES), role, group)


def test_by_default_nothing_is_denied() -> None:
    assert patterns(Settings(), Role.VIEWER, "default") == ()
    assert refuse(SHELL, ()) is None


def test_a_rule_leaves_admins_out_unless_it_names_them() -> None:
    assert denied(Role.ARTIST) == denied(Role.VIEWER) == ("*shell*",)
    assert denied(Role.ADMIN) == ()


def test_a_rule_of_a_group_holds_for_that_group_alone() -> None:
    assert denied(Role.ADMIN, "interns") == ("preview*",)


@pytest.mark.parametrize("name", ["RunShellCommand", "SHELL", "a shell b"])
def test_upper_and_lower_case_are_alike(name: str) -> None:
    assert is_denied(name, denied(Role.ARTIST))
    assert not is_denied("SaveImage", denied(Role.ARTIST))


def test_a_refusal_marks_the_node_and_says_whom_to_ask() -> None:
    prompt = {**SHELL, "2": {"class_type": "SaveImage", "inputs": {}}, "3": {}, "4": 5}
    refusal = refuse(prompt, denied(Role.ARTIST))
    assert refusal is not None
    assert not refusal.ok
    assert refusal.error is not None
    assert refusal.error["type"] == "node_denied"
    assert "RunShellCommand" in refusal.error["details"]
    assert "admin" in refusal.error["details"]
    assert set(refusal.node_errors) == {"1"}
    assert refusal.node_errors["1"]["class_type"] == "RunShellCommand"


def test_definitions_do_not_list_them() -> None:
    info = {"RunShellCommand": {}, "SaveImage": {}}
    assert without(info, denied(Role.ARTIST)) == {"SaveImage": {}}
    assert without(info, ()) is info
