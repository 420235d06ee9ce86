"""InfluxDB's line protocol: pure.

``measurement,tag=value field=1i,other="text" <nanoseconds>``; what has a meaning in it is escaped
as its reference says (docs.influxdata.com, *Line protocol*), and what it cannot hold at all
(line breaks in a tag, a backslash at its end) is replaced.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

Field = int | float | str | bool | None
#: an unsigned 64-bit number would be one more type; nothing here is that large
_LARGEST: Final = 2**63 - 1
_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f]")
_IN_MEASUREMENT: Final = re.compile(r"([, ])")
_IN_TAG: Final = re.compile(r"([,= ])")
_IN_TEXT: Final = re.compile(r'(["\\])')


def line(
    measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], at_ns: int
) -> str | None:
    """One point, without its line break; None: it has no field.

    Args:
        measurement: its name.
        tags: empty ones are left out, as InfluxDB has none.
        fields: those that are None, or no finite number, are left out.
        at_ns: since the epoch.
    """
    told = {name: text for name, value in fields.items() if (text := _value(value)) is not None}
    if not told:
        return None
    series = _IN_MEASUREMENT.sub(r"\\\1", _plain(measurement))
    for name, value in sorted(tags.items()):
        if _plain(value):
            series += f",{_tag(name)}={_tag(value)}"
    values = ",".join(f"{_tag(name)}={text}" for name, text in told.items())
    return f"{series} {values} {at_ns}"


def _value(value: Field) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}i" if -_LARGEST <= value <= _LARGEST else None
        case float():
            return repr(value) if math.isfinite(value) else None
        case str():
            escaped = _IN_TEXT.sub(r"\\\1", _BREAKS.sub(" ", value))
            return f'"{escaped}"'


def _tag(text: str) -> str:
    return _IN_TAG.sub(r"\\\1", _plain(text))


def _plain(text: str) -> str:
    """Without what no name can hold; a backslash at the end would escape what comes behind it."""
    return _BREAKS.sub(" ", text).rstrip("\\")
