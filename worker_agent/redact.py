"""What must not leave a worker with an error: host paths, our folder names, tensors. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from worker_agent.tenancy import ROOT

#: characters of one input's value that an error report keeps
_VALUE_CHARS: Final = 200
#: values of one input that it keeps
_VALUES: Final = 4

_QUOTED = re.compile(r"""(["'])(?:/|[A-Za-z]:[\\/])[^"'\n]*[\\/]([^"'\\/\n]*)\1""")
_POSIX = re.compile(r"(?<![\w.:/])/(?:[^\s/\"'<>|:,;()]+/)+([^\s/\"'<>|:,;()]*)")
_WINDOWS = re.compile(r"\b[A-Za-z]:\\(?:[^\s\\\"'<>|]+\\)*([^\s\\\"'<>|]*)")


def hide_paths(text: str, user: str) -> str:
    """Absolute paths become their last part; the user's folder on the worker vanishes."""
    text = text.replace(f"{ROOT}/{user}/", "")
    text = _QUOTED.sub(r"\1\2\1", text)
    text = _POSIX.sub(r"\1", text)
    return _WINDOWS.sub(r"\1", text)


def redact_error(data: dict[str, Any], user: str) -> dict[str, Any]:
    """The data of an ``execution_error`` without paths of the host and without bulk."""
    clean = dict(data)
    for key in ("exception_message", "exception_type"):
        if isinstance(clean.get(key), str):
            clean[key] = hide_paths(clean[key], user)
    if isinstance(clean.get("traceback"), list):
        clean["traceback"] = [hide_paths(str(line), user) for line in clean["traceback"]]
    if isinstance(clean.get("current_inputs"), dict):
        clean["current_inputs"] = {
            name: _trim(value, user) for name, value in clean["current_inputs"].items()
        }
    return clean


def redact_message(type_: str, data: Any, user: str) -> Any:
    """Any closing message; only errors carry something to hide."""
    if type_ == "execution_error" and isinstance(data, dict):
        return redact_error(data, user)
    return data


def _trim(value: Any, user: str) -> Any:
    if isinstance(value, list):
        return [_trim(item, user) for item in value[:_VALUES]]
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = hide_paths(str(value), user)
    return text if len(text) <= _VALUE_CHARS else text[:_VALUE_CHARS] + "…"
