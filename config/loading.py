"""One file, the environment and the command line become ``Settings``; mistakes become a list.

Later ones win: default, file, environment (``VRAMGATE_SECTION__KEY``), option. Relative
paths in the file are taken from the file's folder. A secret may come from a file:
``VRAMGATE_REDIS__URL_FILE`` names one that holds ``redis.url``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from config.checks import check
from config.environment import Draft, read_environ
from config.problems import ConfigError, Problem, did_you_mean
from config.schema import model_at
from config.settings import Settings
from config.values import Name
from config.yaml_lines import Path as Place
from config.yaml_lines import dotted, read_yaml

FILE_NAME: Final = "vramgate.yaml"
_NAME: Final[TypeAdapter[str]] = TypeAdapter(Name)
#: settings that name a file or folder; ``*``: each of a list
_PATHS: Final = (
    "data_dir",
    "cluster.token_file",
    "cluster.ca",
    "gateway.frontend_root",
    "agent.comfyui.path",
    "agent.comfyui.python",
    "agent.tls_cert",
    "agent.tls_key",
    "metrics.token_file",
    "sinks.influx.token_file",
    "sinks.influx.password_file",
    "alerts.smtp.ca",
    "alerts.webhooks.*.secret_file",
)


@dataclass(frozen=True, slots=True)
class Option:
    """A value from the command line. ``name`` is how it was written, for example ``--port``."""

    path: str
    value: Any
    name: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where they come from."""

    settings: Settings
    #: the file that was read, or None
    file: Path | None
    #: dotted path → ``vramgate.yaml:12``, ``VRAMGATE_…`` or ``--port``; the rest are defaults
    origins: Mapping[str, str]


def load(
    file: Path | None,
    *,
    environ: Mapping[str, str],
    options: Iterable[Option] = (),
) -> Loaded:
    """Put the settings together.

    Args:
        file: the YAML file, or None for none.
        environ: the environment's variables.
        options: what the command line says.

    Raises:
        ConfigError: with every problem found, none of them with a secret in it.
    """
    draft = Draft()
    if file is not None:
        _read_file(draft, file)
    read_environ(draft, environ)
    for option in options:
        draft.put(option.path, option.value, option.name)
    settings = _validate(draft)
    if settings is not None:
        draft.problems.extend(check(settings, draft))
    if settings is None or draft.problems:
        raise ConfigError(_in_order(draft.problems))
    origins = {dotted(place): origin for place, origin in draft.origins.items()}
    return Loaded(settings, file, origins)


def find_file(
    named: Path | None, environ: Mapping[str, str], data_dir: Path | None = None
) -> Path | None:
    """The file to read: ``--config``, ``VRAMGATE_CONFIG``, ``./vramgate.yaml``, the data folder's.

    Raises:
        ConfigError: a file was named and is not there.
    """
    asked = named or (Path(environ["VRAMGATE_CONFIG"]) if environ.get("VRAMGATE_CONFIG") else None)
    if asked is not None:
        if not asked.is_file():
            raise ConfigError([Problem(str(asked), "", "there is no such file")])
        return asked
    folder = data_dir or Path(environ.get("VRAMGATE_DATA_DIR") or default_data_dir(environ))
    for candidate in (Path(FILE_NAME), folder / FILE_NAME):
        if candidate.is_file():
            return candidate
    return None


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """``$XDG_DATA_HOME/vramgate``, by default ``~/.local/share/vramgate``."""
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "vramgate"


def name_problem(name: str) -> str | None:
    """What is wrong with the name of a user or group, or None."""
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return "1 to 64 letters, digits, `_`, `.`, `@` or `-`, beginning with a letter or digit"
    return None


# ── where values come from ───────────────────────────────────────────────────


def _read_file(draft: Draft, file: Path) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError([Problem(str(file), "", f"cannot be read: {error}")]) from error
    document = read_yaml(text, str(file))
    draft.source = str(file)
    # `gateway:` with nothing under it is an empty section, not a mistake
    draft.data = {key: {} if value is None else value for key, value in document.data.items()}
    draft.origins = {place: f"{file}:{line}" for place, line in document.lines.items()}
    for path in _PATHS:
        _anchor(draft.data, path.split("."), file.parent)


def _anchor(data: Any, path: list[str], folder: Path) -> None:
    """Take a relative path in the file from the file's folder; ``~`` is the user's home."""
    for place, name in enumerate(path[:-1]):
        if name == "*":
            for one in data if isinstance(data, list) else ():
                _anchor(one, path[place + 1 :], folder)
            return
        data = data.get(name) if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(data.get(path[-1]), str):
        data[path[-1]] = str(folder / Path(data[path[-1]]).expanduser())


# ── what is wrong with them ──────────────────────────────────────────────────


def _validate(draft: Draft) -> Settings | None:
    try:
        return Settings.model_validate(draft.data)
    except ValidationError as error:
        draft.problems.extend(_as_problem(detail, draft) for detail in error.errors())
        return None


def _as_problem(detail: ErrorDetails, draft: Draft) -> Problem:
    place: Place = tuple(detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden":
            section = model_at(place[:-1])
            known = section.model_fields if section else ()
            message = "unknown key" + did_you_mean(str(place[-1]), known)
        case "enum" | "literal_error":
            expected = str(detail.get("ctx", {}).get("expected", ""))
            choices = re.findall(r"'([^']+)'", expected)
            message = f"{detail['input']!r} is none of: {', '.join(choices)}"
            message += did_you_mean(str(detail["input"]), choices).partition("; known")[0]
        case "string_pattern_mismatch" if place[-1] in ("name", "group", "id", "pool"):
            message = name_problem(str(detail["input"])) or message
        case "missing":
            message = "is missing"
        case "model_type" | "dict_type" | "model_attributes_type":
            message = "must be a section with keys of its own"
        case "tuple_type" | "list_type":
            message = "must be a list; begin each item with `- `"
    return Problem(draft.origin(place), dotted(place), message)


def _in_order(problems: list[Problem]) -> list[Problem]:
    """By file and line, so that a reader goes through the file once."""

    def key(problem: Problem) -> tuple[str, int, str]:
        name, _, line = problem.where.rpartition(":")
        return (name, int(line), problem.path) if line.isdigit() else (problem.where, 0, "")

    return sorted(dict.fromkeys(problems), key=key)
