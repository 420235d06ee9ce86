"""What values in the settings look like: sizes, durations, names, and the base of every section."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?\s*$", re.IGNORECASE)
_UNIT = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_bytes(value: Any) -> Any:
    """``"24GiB"`` → 25769803776; numbers pass. Raises ValueError on other words."""
    if not isinstance(value, str):
        return value
    found = _SIZE.match(value)
    if found is None:
        raise ValueError(f"{value!r} is no size; write for example 24GiB, 512MiB or 1000000")
    return int(float(found[1]) * _UNIT[(found[2] or "B").lower()])


def parse_seconds(value: Any) -> Any:
    """``"10m"`` → 600.0; numbers pass. Raises ValueError on other words."""
    if not isinstance(value, str):
        return value
    found = _DURATION.match(value)
    if found is None:
        raise ValueError(f"{value!r} is no duration; write for example 10s, 5m or 1.5")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def parse_network(value: str) -> str:
    """``10.1.0.0/16`` or an address as a network, in its one spelling. Raises ValueError."""
    try:
        return str(ip_network(value.strip()))
    except ValueError as error:
        raise ValueError(
            f"{value!r} is no network: {error}; write for example 10.1.2.0/24 or 10.1.2.3"
        ) from None


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)]
Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0)]
Network = Annotated[str, AfterValidator(parse_network)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]


class Model(BaseModel):
    """Base of all settings: unknown keys are errors, numbers are finite, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
