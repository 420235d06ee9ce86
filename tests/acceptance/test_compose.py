"""The compose file says what this version understands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.main import app
from config.loading import load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {
    name: service for name, service in COMPOSE["services"].items() if service["image"] == "vramgate"
}


def environment(service: dict[str, Any]) -> dict[str, str]:
    """With what a person puts into .env."""
    given = re.compile(r"\$\{(\w+):\?[^}]*\}")
    return {
        name: given.sub("from-the-env-file", str(value))
        for name, value in service["environment"].items()
    }


def test_every_role_is_there_and_gateways_are_two() -> None:
    roles = [service["command"][0] for service in OURS.values()]
    assert sorted(roles) == ["agent", "gateway", "gateway", "jobs", "recorder", "scheduler"]


@pytest.mark.parametrize("name", OURS)
def test_its_command_is_one_of_ours_with_options_that_exist(name: str) -> None:
    word, *arguments = OURS[name]["command"]
    group = typer.main.get_command(app)
    with group.make_context("vramgate", [word]) as context:
        command = group.get_command(context, word)  # type: ignore[attr-defined]
        assert command is not None
        command.make_context(word, arguments, parent=context)


@pytest.mark.parametrize("name", OURS)
def test_its_settings_are_valid(name: str) -> None:
    settings = load(None, environ=environment(OURS[name])).settings
    assert settings.redis.url
    assert settings.store.url
    assert settings.cluster.token


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_nothing_runs_as_root(name: str) -> None:
    user = str(COMPOSE["services"][name]["user"])
    assert user.partition(":")[0] not in ("0", "root", "")


def test_gateways_share_the_folder_of_uploads() -> None:
    shared = {
        volume
        for service in OURS.values()
        for volume in service["volumes"]
        if service["command"][0] == "gateway"
    }
    assert shared == {"files:/data/files"}


def test_servers_and_gateways_say_whether_they_are_well() -> None:
    for name in ("redis", "postgres", "gateway-1", "gateway-2"):
        assert COMPOSE["services"][name]["healthcheck"]["test"], name


def test_no_secret_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"(PASSWORD|TOKEN): (?!\$\{)", text)
