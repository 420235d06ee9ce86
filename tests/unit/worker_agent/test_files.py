from __future__ import annotations

import pytest

from worker_agent.files import is_allowed


@pytest.mark.parametrize(
    "path",
    [
        "",
        "index.html",
        "favicon.ico",
        "user.css",
        "app-1.js",
        "object_info/LoadImage",
        "extensions/pack/js/a.js",
        "assets/x.woff2",
        "models/checkpoints",
        "api/workflow_templates/pack/a.json",
    ],
)
def test_pages_of_the_frontend_and_facts_are_handed_out(path: str) -> None:
    assert is_allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        "history",
        "queue",
        "view",
        "internal/logs",
        "manager/reboot",
        "userdata/a.js",
        "api/queue",
        "api/workflow_templates",
        "api/workflow_templates/../queue",
        "extensions/../history",
        "a/b.js",
        "assets/..",
        "x.js\n",
        "models\\..\\x",
    ],
)
def test_everything_else_of_a_worker_is_out_of_reach(path: str) -> None:
    assert not is_allowed(path)
