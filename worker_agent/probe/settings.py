"""What the probe is told to do: from its environment, later from the agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

#: the variable that the agent sets; without it the probe works alone
VARIABLE = "VRAMGATE_PROBE"

#: what may become of a text: its keyed hash, nothing, itself
TEXTS = ("hash", "drop", "keep")
#: inputs of these names never leave the process
DROPPED = ("*key*", "*token*", "*password*")


class BadSettings(ValueError):
    """Settings that cannot be used; the message says which value and what is allowed."""


@dataclass(frozen=True)
class Redaction:
    """What becomes of inputs before anything leaves the process.

    Attributes:
        texts: one of ``TEXTS``.
        inputs: patterns (as in ``fnmatch``) of names of inputs that are always dropped.
    """

    texts: str = "hash"
    inputs: tuple[str, ...] = DROPPED


@dataclass(frozen=True)
class Capture:
    """How previews of intermediate pictures are taken.

    Attributes:
        pixels: longer side of a preview.
        budget_bytes: JPEG bytes kept; the oldest make room.
    """

    pixels: int = 256
    budget_bytes: int = 32 * 1024**2


@dataclass(frozen=True)
class Settings:
    """The settings in force.

    Attributes:
        token: what a request must show; None where the probe works alone.
        hooks: whether nodes and prompts are recorded at all.
        memory: whether memory is read at each node.
        redact: what becomes of inputs.
        capture: how previews are taken, or None for not at all.
    """

    token: str | None = None
    hooks: bool = True
    memory: bool = True
    redact: Redaction = Redaction()
    capture: Capture | None = None

    def changed(self, patch: Mapping[str, Any]) -> Settings:
        """These settings with the values of ``patch``; the token cannot be changed.

        Raises:
            BadSettings: a value that cannot be used, or a name that is none.
        """
        known: dict[str, Callable[[str, Any], Any]] = {
            "hooks": _flag,
            "memory": _flag,
            "redact": _redaction,
            "capture": _capture,
        }
        unknown = sorted(set(patch) - set(known))
        if unknown:
            raise BadSettings(f"no such setting: {unknown[0]!r}; there are {', '.join(known)}")
        taken: dict[str, Any] = {name: known[name](name, patch[name]) for name in patch}
        return replace(self, **taken)

    def shown(self) -> dict[str, Any]:
        """The settings as JSON, without the token."""
        capture = self.capture
        return {
            "hooks": self.hooks,
            "memory": self.memory,
            "redact": {"texts": self.redact.texts, "inputs": list(self.redact.inputs)},
            "capture": capture and {"pixels": capture.pixels, "budget_bytes": capture.budget_bytes},
        }


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that a process starts with.

    Raises:
        BadSettings: the variable holds no JSON object, or a value that cannot be used.
    """
    text = environment.get(VARIABLE)
    if not text:
        return Settings()
    try:
        given = json.loads(text)
    except ValueError:
        raise BadSettings(f"{VARIABLE} must hold a JSON object") from None
    if not isinstance(given, dict):
        raise BadSettings(f"{VARIABLE} must hold a JSON object")
    token = given.pop("token", None)
    if token is not None and (not isinstance(token, str) or not token):
        raise BadSettings(f"{VARIABLE}: token must be a text")
    return replace(Settings().changed(given), token=token)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadSettings(f"{name} must be true or false")
    return value


def _redaction(name: str, value: Any) -> Redaction:
    if not isinstance(value, dict):
        raise BadSettings(f"{name} must be an object of texts and inputs")
    texts = value.get("texts", "hash")
    if texts not in TEXTS:
        raise BadSettings(f"{name}.texts must be one of {', '.join(TEXTS)}")
    inputs = value.get("inputs", list(DROPPED))
    if not isinstance(inputs, list) or not all(isinstance(one, str) for one in inputs):
        raise BadSettings(f"{name}.inputs must be a list of patterns")
    return Redaction(texts, tuple(inputs))


def _capture(name: str, value: Any) -> Capture | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadSettings(f"{name} must be null or an object of pixels and budget_bytes")
    capture = Capture(
        value.get("pixels", Capture.pixels), value.get("budget_bytes", Capture.budget_bytes)
    )
    for part, least, most in ((capture.pixels, 16, 1024), (capture.budget_bytes, 0, 1024**4)):
        if type(part) is not int or not least <= part <= most:
            raise BadSettings(f"{name}: pixels are 16 to 1024, budget_bytes 0 to {1024**4}")
    return capture
