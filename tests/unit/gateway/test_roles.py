from __future__ import annotations

import pytest

from config.settings import Role
from gateway.errors import Forbidden
from gateway.roles import refuse_viewer


@pytest.mark.parametrize(
    "path",
    [
        "/queue",
        "/api/queue",
        "/interrupt",
        "/history",
        "/free",
        "/api/jobs/1/cancel",
        "/users",
        "/settingsx",
        "/new/route",
        "/api",
    ],
)
def test_a_viewer_changes_nothing_whatever_route_comes(path: str) -> None:
    with pytest.raises(Forbidden):
        refuse_viewer(Role.VIEWER, "POST", path)
    refuse_viewer(Role.VIEWER, "GET", path)
    for role in (Role.ARTIST, Role.ADMIN):
        refuse_viewer(role, "POST", path)


@pytest.mark.parametrize(
    "path", ["/settings", "/api/settings/x", "/userdata/a.json", "/api/userdata/a%2Fb"]
)
def test_a_viewer_keeps_settings_and_workflows_of_its_own(path: str) -> None:
    refuse_viewer(Role.VIEWER, "POST", path)
    refuse_viewer(Role.VIEWER, "DELETE", path)
