"""Measured runs of ComfyUI workflows, read from a file, and the graphs that they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scheduler.guess import CONTEXT_BYTES

_GIB: Final = 2**30
#: A worker that held less than this share of the checkpoint had to load it.
_LOADED_SHARE: Final = 0.25
#: Where nothing tells whether a run loaded its models: it took so much longer than another.
_LOAD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """One run of one workflow on an otherwise idle GPU."""

    case: str
    checkpoint: str
    width: int
    height: int
    batch: int
    #: 0: no sampler, a picture through the VAE and back
    steps: int
    seconds: float
    #: torch's reserved peak + context: what it needed
    peak_bytes: int
    #: it began without its models
    cold: bool
    #: it was told that it has so many bytes (torch's); None: it had the card
    limit_bytes: int | None

    def graph(self) -> dict[str, Any]:
        """The prompt that was measured."""
        size = {"width": self.width, "height": self.height, "batch_size": self.batch}
        nodes = {
            "1": _node("CheckpointLoaderSimple", ckpt_name=f"{self.checkpoint}.safetensors"),
            "8": _node("VAEDecode", samples=["7", 0], vae=["1", 2]),
            "9": _node("PreviewImage", images=["8", 0]),
        }
        if not self.steps:
            picture = _node("EmptyImage", **size, color=0)
            return nodes | {"4": picture, "7": _node("VAEEncode", pixels=["4", 0], vae=["1", 2])}
        texts = {"positive": ["2", 0], "negative": ["3", 0]}
        sampler = {"steps": self.steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal"}
        return nodes | {
            "2": _node("CLIPTextEncode", text="a", clip=["1", 1]),
            "3": _node("CLIPTextEncode", text="b", clip=["1", 1]),
            "4": _node("EmptyLatentImage", **size),
            "7": _node("KSampler", model=["1", 0], latent_image=["4", 0], **texts, **sampler),
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """A file of runs."""

    runs: tuple[MeasuredRun, ...]
    #: checkpoint sizes by ``folder/name``, as far as the file tells
    sizes: Mapping[str, int]


def read_runs(path: Path) -> Measured:
    """Reads a file of measured runs.

    Raises:
        ValueError: it is not JSON, or a row lacks what it must have; the message says which.
        OSError: it cannot be read.
    """
    data = json.loads(path.read_text())
    if not isinstance(data, dict) or not isinstance(data.get("runs"), list):
        raise ValueError(f'{path} must hold an object with a list "runs"')
    files = _file_bytes(data)
    runs: list[MeasuredRun] = []
    for number, row in enumerate(data["runs"]):
        try:
            runs += _rows(row, files)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}, run {number}: {type(error).__name__} {error}") from error
    sizes = {f"checkpoints/{name}.safetensors": size for name, size in files.items()}
    return Measured(tuple(runs), sizes)


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _file_bytes(data: Mapping[str, Any]) -> dict[str, int]:
    named = data.get("meta", {}).get("checkpoints", {})
    sizes = {
        name: int(entry.get("file_bytes") or entry.get("file_gib", 0) * _GIB)
        for name, entry in named.items()
    }
    return sizes | dict(data.get("file_bytes", {}))


def _rows(row: Mapping[str, Any], files: Mapping[str, int]) -> list[MeasuredRun]:
    """The runs of one row: one, or several one after the other in lists."""
    if not isinstance(row["seconds"], list):
        if row.get("status", "success") != "success":
            return []
        return [_run(row, files, row["seconds"], row["peak_reserved_bytes"], _was_cold(row, files))]
    peaks = [gib * _GIB for gib in row["peak_reserved_gib"]]
    ends = row.get("status", ["success"] * len(peaks))
    runs = zip(row["seconds"], peaks, ends, strict=True)
    least = min(row["seconds"])
    return [
        _run(row, files, seconds, peak, cold=seconds > least + _LOAD_SECONDS)
        for seconds, peak, end in runs
        if end == "success"
    ]


def _run(
    row: Mapping[str, Any], files: Mapping[str, int], seconds: float, peak: float, cold: bool
) -> MeasuredRun:
    checkpoint, width, height, batch, steps = _named(row)
    limit = row.get("limit_gib")
    return MeasuredRun(
        case=row["case"],
        checkpoint=checkpoint,
        width=width,
        height=height,
        batch=batch,
        steps=steps,
        seconds=float(seconds),
        peak_bytes=int(peak) + CONTEXT_BYTES,
        cold=cold,
        limit_bytes=None if limit is None else int(limit * _GIB),
    )


def _named(row: Mapping[str, Any]) -> tuple[str, int, int, int, int]:
    """Checkpoint, width, height, batch, steps: fields, else from the case's name."""
    name, *shape = row["case"].rsplit("-", 4)
    if "checkpoint" not in row:
        width, height, batch = map(int, shape[:3])
        return name, width, height, batch, 0 if shape[3] == "vae" else int(shape[3])
    steps = 0 if row.get("workflow") == "vae_roundtrip" else int(row.get("steps") or 0)
    return row["checkpoint"], int(row["width"]), int(row["height"]), int(row["batch"]), steps


def _was_cold(row: Mapping[str, Any], files: Mapping[str, int]) -> bool:
    held, size = row.get("allocated_before_bytes"), files.get(row.get("checkpoint", ""), 0)
    if held is not None and size:
        return bool(held < _LOADED_SHARE * size)
    return bool(row.get("run") == "cold")
