"""``vramgate version``."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

import typer


def own_version() -> str:
    """This program's version, also from a checkout that was never installed."""
    try:
        return installed_version("vramgate")
    except PackageNotFoundError:
        import tomllib

        project = Path(__file__).parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text())["project"]["version"])


def told_at_once(asked: bool) -> None:
    """``vramgate --version``: as ``vramgate version``, whatever else is written."""
    if asked:
        version()
        raise typer.Exit


def version() -> None:
    """Print the versions of vramgate and of the Python it runs on."""
    print(f"vramgate {own_version()} (Python {platform.python_version()})")
