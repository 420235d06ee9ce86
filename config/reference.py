"""``docs/config.md``, written from the models, so that it cannot say anything else than they do."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic_core import PydanticUndefined

from config.environment import is_variable, variable_of
from config.schema import Setting, settings, words_for

_HEAD = """\
# Settings

<!-- Written by `vramgate config reference`; change config/settings.py instead. -->

One YAML file, found in this order: `--config FILE`, `$VRAMGATE_CONFIG`, `./vramgate.yaml`,
`vramgate.yaml` in the data folder. Without one, everything has the default below.
`vramgate config example` prints an annotated file to start from, `vramgate config check`
says what is wrong with one, `vramgate config show --origin` what is in force and why.

Later ones win: default, file, environment, command line.

- **Environment**: `VRAMGATE_SECTION__KEY`, for example `VRAMGATE_GATEWAY__PORT=8288`; lists as
  JSON. `VRAMGATE_SECTION__KEY_FILE` names a file that holds the value, for secrets.
- **Sizes** are written `24GiB`, `512MiB`, `1GB` or in bytes; **durations** `10s`, `5m`, `1.5h`
  or in seconds. Relative paths in the file start at the file's folder.
- **Live** settings follow the file while vramgate runs; the others wait for a restart. A file
  with a mistake changes nothing: the mistake is logged and the last good settings stay.
- Unknown keys and bad values are refused, all at once, each with its line.
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD]
    plain = [one for one in settings() if "." not in one.path and one.model is None]
    parts.append(_section("Top level", "Keys outside of any section.", plain))
    for section in settings():
        if section.model is None:
            continue
        inside = [one for one in settings() if _is_in(one, section)]
        keys = [one for one in inside if one.model is None]
        parts.append(_section(f"`{_title(section)}`", section.model.__doc__ or "", keys))
    return "\n".join(parts)


def default_words(setting: Setting) -> str:
    """The default as it would be written in the file."""
    return _words(setting.info.default)


def _words(value: Any) -> str:
    if value is PydanticUndefined:
        return "must be given"
    if value is None or value == ():
        return "unset" if value is None else "none"
    if isinstance(value, tuple):
        return ", ".join(_words(one) for one in value)
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and value.is_integer():
        return f"`{int(value)}`"
    return f"`{value}`"


def _section(title: str, about: str, keys: list[Setting]) -> str:
    lines = [f"## {title}", "", about.strip(), ""]
    lines += ["| key | type | default | live | |", "|---|---|---|---|---|"]
    for one in keys:
        about_key = " ".join((one.info.description or "").split()).replace("|", "\\|")
        variable = f" `{variable_of(one)}`" if is_variable(one) else ""
        live = "yes" if one.live else "restart"
        name = one.path.rpartition(".")[2]
        default = _default_cell(one)
        lines.append(f"| `{name}` | {_type(one)} | {default} | {live} | {about_key}{variable} |")
    return "\n".join(lines) + "\n"


def _default_cell(one: Setting) -> str:
    text = default_words(one)
    default = one.info.default
    if words_for(one.info) == "size" and isinstance(default, int):
        return f"`{_size(default)}`"
    if words_for(one.info) == "duration" and isinstance(default, (int, float)):
        return f"`{default:g}s`"
    return text


def _type(one: Setting) -> str:
    text = words_for(one.info)
    limits = [_limit(checked) for checked in one.info.metadata]
    return " ".join([text, *(limit for limit in limits if limit)])


def _limit(checked: Any) -> str:
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if getattr(checked, name, None) is not None:
            return f"{sign} {getattr(checked, name)}"
    return ""


def _size(count: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count and count % unit == 0:
            return f"{count // unit}{name}"
    return str(count)


def _is_in(one: Setting, section: Setting) -> bool:
    prefix = f"{section.path}[]." if section.is_list else f"{section.path}."
    return one.path.startswith(prefix) and "." not in one.path.removeprefix(prefix)


def _title(section: Setting) -> str:
    return f"{section.path}[]" if section.is_list else section.path
