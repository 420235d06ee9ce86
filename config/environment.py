"""Raw settings while they are put together, and what the environment adds to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from config.problems import Problem, closest
from config.schema import Setting
from config.schema import settings as all_settings
from config.yaml_lines import Path as Place

PREFIX: Final = "VRAMGATE_"
#: Variables with our prefix that are no settings: the command line reads them itself.
_OTHER_VARIABLES: Final = frozenset({"VRAMGATE_CONFIG", "VRAMGATE_DEBUG", "VRAMGATE_KEY"})


@dataclass(slots=True)
class Draft:
    """Raw values while they are put together."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Place, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    #: what to name where a mistake has no line of its own
    source: str = "settings"

    def put(self, path: str, value: Any, origin: str) -> None:
        """Set a value from outside the file, in place of whatever was there."""
        *sections, key = path.split(".")
        here: Any = self.data
        for name in sections:
            inner = here.get(name)
            if not isinstance(inner, dict):  # absent, or a mistake that this value replaces
                inner = here[name] = {}
            here = inner
        here[key] = value
        place: Place = tuple(path.split("."))
        for old in [known for known in self.origins if known[: len(place)] == place]:
            del self.origins[old]
        self.origins[place] = origin

    def origin(self, place: Place) -> str:
        """Where the value at this place, or the nearest one around it, was written."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.origins:
                return self.origins[place[:length]]
        return self.source


def read_environ(draft: Draft, environ: Mapping[str, str]) -> None:
    """Add what variables say: `VRAMGATE_A__B`, or the content of the file `VRAMGATE_A__B_FILE` names."""
    names = {variable_of(setting): setting for setting in all_settings() if is_variable(setting)}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in _OTHER_VARIABLES:
            continue
        setting = names.get(variable)
        if setting is None and variable.endswith("_FILE"):
            setting = names.get(variable.removesuffix("_FILE"))
            secret = _read_secret(draft, variable, text) if setting else None
            if setting and secret is not None:
                draft.put(setting.path, secret, variable)
        elif setting is not None:
            _put_variable(draft, setting, variable, text)
        if setting is None:
            _unknown_variable(draft, variable, names)


def variable_of(setting: Setting) -> str:
    """``gateway.port`` → ``VRAMGATE_GATEWAY__PORT``."""
    return PREFIX + setting.path.upper().replace(".", "__")


def is_variable(setting: Setting) -> bool:
    """Whether the setting can be given by a variable: not inside a list, no whole section."""
    return "[]" not in setting.path and (setting.model is None or setting.is_list)


def _put_variable(draft: Draft, setting: Setting, variable: str, text: str) -> None:
    value: Any = text
    if text == "null":
        value = None
    elif text[:1] in ("[", "{"):
        try:
            value = json.loads(text)
        except ValueError as error:
            message = f"no valid JSON: {error}"
            draft.problems.append(Problem(variable, setting.path, message))
            return
    draft.put(setting.path, value, variable)


def _read_secret(draft: Draft, variable: str, file: str) -> str | None:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        draft.problems.append(Problem(variable, "", f"the file it names cannot be read: {error}"))
        return None


def _unknown_variable(draft: Draft, variable: str, names: Iterable[str]) -> None:
    """Complain of what must be meant for us; a stranger's variable may share our prefix."""
    known = {name.removeprefix(PREFIX): name for name in names}
    word = variable.removeprefix(PREFIX)
    meant = closest(word, known, cutoff=0.6 if "__" in word else 0.85)
    if meant is not None:
        message = f"no setting has this name; did you mean `{known[meant]}`?"
    elif "__" in word:
        message = "no setting has this name; `vramgate config reference` lists them"
    else:
        return
    draft.problems.append(Problem(variable, "", message))
