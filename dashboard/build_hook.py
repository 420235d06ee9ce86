"""Hatch's hook: a wheel holds the built page. An editable install builds it when it is run."""

from __future__ import annotations

import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildUi(BuildHookInterface[Any]):
    """Runs ``dashboard.build_ui`` with the build environment's own Node."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the wheel's files are listed."""
        if self.target_name != "wheel" or version == "editable":
            return
        # The project is not installed where it is built.
        sys.path.insert(0, self.root)
        from dashboard.build_ui import build

        built = build()
        self.app.display_info("dashboard: page built" if built else "dashboard: page is up to date")
