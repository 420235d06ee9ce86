"""What to simulate, as one line: ``gpus=2,vram=24GiB,workers=2,speed=10``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from config.values import parse_bytes

_EXAMPLE = "gpus=2,vram=24GiB,workers=2,speed=10"
#: Every simulated worker is a process of its own, of about 60 MiB.
MOST_WORKERS: Final = 64


@dataclass(frozen=True, slots=True)
class SimulationSpec:
    """Simulated machine.

    Attributes:
        gpus: How many GPUs; 0 simulates a machine that has only its CPU.
        vram_bytes: Size of each GPU.
        workers: ComfyUI processes per GPU (in all, when there is no GPU).
        speed: How many times faster than a real card time passes.
    """

    gpus: int = 1
    vram_bytes: int = 24 * 2**30
    workers: int = 2
    speed: float = 1.0

    @classmethod
    def parse(cls, text: str) -> SimulationSpec:
        """Read ``key=value`` pairs; what is left out keeps its default.

        Raises:
            ValueError: An unknown key or a bad value; names the key and gives an example.
        """
        values: dict[str, int | float] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = (part.strip() for part in pair.partition("="))
            if key not in _READERS:
                raise ValueError(
                    f"unknown key {key!r} in the simulation; known keys are "
                    f"{', '.join(_READERS)}; write for example {_EXAMPLE}"
                )
            if not equals or not value:
                raise ValueError(f"{key} has no value; write for example {_EXAMPLE}")
            field = "vram_bytes" if key == "vram" else key
            values[field] = _READERS[key](key, value)
        spec = cls(**values)  # type: ignore[arg-type]  # each reader returns its field's type
        if (count := max(1, spec.gpus) * spec.workers) > MOST_WORKERS:
            raise ValueError(
                f"{count} simulated workers, each a process, are more than {MOST_WORKERS}; "
                f"write for example {_EXAMPLE}"
            )
        return spec

    def __str__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["vram"] = values.pop("vram_bytes")
        return ",".join(f"{key}={values[key]}" for key in _READERS)


def _whole(key: str, text: str) -> int:
    lowest = 0 if key == "gpus" else 1
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < lowest:
        raise ValueError(f"{key}={text} is no whole number from {lowest}; example: {_EXAMPLE}")
    return value


def _bytes(key: str, text: str) -> int:
    try:
        value = int(parse_bytes(text))
    except ValueError as error:
        raise ValueError(f"{key}: {error}; example: {_EXAMPLE}") from error
    if value < 2**30:
        raise ValueError(f"{key}={text} is less than 1GiB; example: {_EXAMPLE}")
    return value


def _factor(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{key}={text} is no number above 0; example: {_EXAMPLE}")
    return value


_READERS = {"gpus": _whole, "vram": _bytes, "workers": _whole, "speed": _factor}
