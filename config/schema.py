"""The settings' shape, read from the models: paths, types in words, defaults, what changes live."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.settings import Settings
from config.values import parse_bytes, parse_seconds

#: Read once when a process starts; everything else follows the file while it runs.
NEEDS_RESTART: Final = (
    # with the host: a file that changes both must not open the old host to everybody
    "auth.mode",
    "gateway.host",
    "gateway.port",
    "gateway.frontend",
    "gateway.frontend_root",
    "gateway.advertise",
    "gateway.max_body",
    "redis",
    "jobs",
    "store.url",
    "agent",
    "probe.enabled",
    "probe.redact",
    "probe.capture",
    "cluster",
    "history.inputs",
    "metrics.host",
    "metrics.scheduler_port",
    "metrics.agent_port",
    "metrics.recorder_port",
    "sinks",
    "log",
    "data_dir",
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file. ``path`` is dotted; items of a list are ``users[]``."""

    path: str
    info: FieldInfo
    #: the model of a section or of a list's items; None for a plain value
    model: type[BaseModel] | None
    is_list: bool

    @property
    def secret(self) -> bool:
        """True: its value is never shown."""
        return not self.info.repr

    @property
    def live(self) -> bool:
        """True: a change of the file takes effect without a restart."""
        return not needs_restart(self.path)


def needs_restart(path: str) -> bool:
    """Whether a change of this setting waits for a restart."""
    return any(path == root or path.startswith(f"{root}.") for root in NEEDS_RESTART)


def settings(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[Setting]:
    """All keys in the order of the models, sections before what is in them."""
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        inner, is_list = _inner_model(info.annotation)
        yield Setting(path, info, inner, is_list)
        if inner is not None:
            yield from settings(inner, f"{path}[]." if is_list else f"{path}.")


def model_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that the value at this path must be, or None where it is no section."""
    model: type[BaseModel] = Settings
    for part in path:
        if isinstance(part, int):
            continue
        info = model.model_fields.get(part)
        inner = _inner_model(info.annotation)[0] if info else None
        if inner is None:
            return None
        model = inner
    return model


def words_for(info: FieldInfo) -> str:
    """The type in words that the file's reader knows."""
    for checked in info.metadata:
        function = getattr(checked, "func", None)
        if function is parse_bytes:
            return "size"
        if function is parse_seconds:
            return "duration"
    return _words(info.annotation)


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in arguments if one is not type(None))
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of {_words(arguments[0])}s"
    if hasattr(annotation, "__metadata__"):  # Annotated
        functions = [getattr(one, "func", None) for one in annotation.__metadata__]
        if parse_bytes in functions:
            return "size"
        return "duration" if parse_seconds in functions else _words(annotation.__origin__)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{choice.value}`" for choice in annotation)
    names = {
        datetime: "time",
        str: "text",
        int: "number",
        float: "number",
        bool: "`true`, `false`",
        Path: "path",
    }
    return names.get(annotation, "section")


def _inner_model(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    is_list = get_origin(annotation) is tuple
    inner = get_args(annotation)[0] if is_list else annotation
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return inner, is_list
    return None, False
