"""``vramgate config``: check a file, see what is in force, learn what can be set."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import CliError
from cli.options import ConfigOption, DataDirOption, Ground, read_ground
from config.loading import find_file, load
from config.schema import Setting
from config.schema import settings as all_settings

app = typer.Typer(
    no_args_is_help=True, help="Check a config file, see what is in force, learn what can be set."
)


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="The file; by default the one that `up` would read.")
    ] = None,
) -> None:
    """Say everything that is wrong with a config file, each with its line; exit code 2 if so.

    [bold]Example[/bold]: vramgate config check vramgate.yaml
    """
    found = find_file(file, os.environ)
    load(found, environ=os.environ)
    print(f"{found or 'no file: defaults and environment'}: all good")


@app.command()
def show(
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    overrides: Annotated[
        bool, typer.Option("--overrides", help="Only what admins changed while it ran, as JSON.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the settings in force; secrets are not shown.

    [bold]Example[/bold]: vramgate config show --origin
    """
    ground = read_ground(config, data_dir)
    if overrides:
        print(json.dumps(_overrides(ground), indent=2, sort_keys=True))
        return
    for line in _lines(ground, origin=origin):
        print(line)


@app.command()
def example() -> None:
    """Print an annotated config file to start from.

    [bold]Example[/bold]: vramgate config example > vramgate.yaml
    """
    print(files("config").joinpath("example.yaml").read_text(encoding="utf-8"), end="")


@app.command()
def reference() -> None:
    """Print the page of all settings (docs/config.md)."""
    from config.reference import reference as page

    print(page(), end="")


def _lines(ground: Ground, *, origin: bool) -> list[str]:
    lines = []
    values = ground.source.current().model_dump(mode="json")
    for setting in all_settings():
        if "[]" in setting.path or (setting.model is not None and not setting.is_list):
            continue
        text = f"{setting.path}: {_shown(setting, _value(values, setting.path))}"
        if origin:
            text = f"{text:60} # {_origin(ground, setting.path)}"
        lines.append(text)
    if origin:
        lines += _edited(ground)
    return lines


def _edited(ground: Ground) -> list[str]:
    """What admins changed while it runs; nothing where nothing runs."""
    from cli.users import read_overrides
    from config.edits import MAINTENANCE, edit_of, with_edits

    try:
        overrides = read_overrides(ground)
    except CliError:
        return []
    settings = with_edits(ground.source.current(), overrides)
    return [
        f"{f'{path}: {text}':60} # edited (over {_origin(ground, path)})"
        for path, text in sorted(overrides.items())
        if path == MAINTENANCE or edit_of(path, settings) is not None
    ]


def _value(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values


def _shown(setting: Setting, value: Any) -> str:
    if setting.secret and value is not None:
        return '"***"'
    return json.dumps(_without_secrets(value), ensure_ascii=False)


def _without_secrets(value: Any) -> Any:
    """Lists of users hold keys and hashes; URLs may hold a password."""
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {
            key: "***" if "key" in key and item else _without_secrets(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, str) and "://" in value and "@" in value:
        scheme, _, rest = value.partition("://")
        user = rest.rpartition("@")[0].partition(":")[0]
        return f"{scheme}://{user}:***@{rest.rpartition('@')[2]}"
    return value


def _origin(ground: Ground, path: str) -> str:
    origins = ground.loaded.origins
    if path in origins:
        return origins[path]
    inside = [where for known, where in origins.items() if known.startswith(f"{path}[")]
    return inside[0] if inside else "default"


def _overrides(ground: Ground) -> dict[str, Any]:
    from cli.users import read_overrides

    found = read_overrides(ground)
    return {path: "***" if "key" in path else _hidden(text) for path, text in found.items()}


def _hidden(text: str) -> Any:
    return _without_secrets(json.loads(text))
