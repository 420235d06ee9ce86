"""Checks one value that a prompt gives for an input: converts, bounds, choices, files."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from scheduler.workflow import reasons
from scheduler.workflow.node_class import InputSpec
from scheduler.workflow.reasons import Reason

#: ``exists(kind, name)``: whether a file is there; kind is input, output or temp.
FileExists: TypeAlias = Callable[[str, str], bool]

_CONVERT: Final[dict[str, Callable[[Any], Any]]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}
_WRAPPER: Final = "__value__"
_KINDS: Final = ("input", "output", "temp")

#: option of an upload combo → what ComfyUI calls the file; "" where it only checks the list
_UPLOADS: Final = {
    "image_upload": "image",
    "animated_image_upload": "image",
    "audio_upload": "audio",
    "video_upload": "video",
    "file_upload": "",
}
#: core inputs that name files without saying so in their options
_FILE_INPUTS: Final = {("LoadLatent", "latent"): "latent"}


def check_value(
    class_type: str,
    spec: InputSpec,
    value: Any,
    exists: FileExists | None,
    *,
    of_pack: bool = False,
) -> tuple[Any, Reason | None]:
    """Returns the value as ComfyUI would keep it, and why it is refused, if it is.

    A pack's list (``of_pack``) may be one of files that does not say so: what is there is good.

    A list inside ``{"__value__": …}`` keeps its wrapper, since a bare list
    means a link to whoever reads the prompt next. ``"nan"`` and ``"inf"`` stay texts,
    since JSON has no such numbers: the worker makes them of the same texts.

    Raises:
        TypeError: a bound and the value cannot be compared.
    """
    bare = value[_WRAPPER] if isinstance(value, dict) and _WRAPPER in value else value
    convert = _CONVERT.get(spec.type) if isinstance(spec.type, str) else None
    if convert is not None:
        try:
            bare = convert(bare)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            return value, reasons.not_convertible(spec, bare, error)
    kept = value if isinstance(bare, list | dict) or _is_endless(bare) else bare
    return kept, _refuse(class_type, spec, bare, exists, of_pack=of_pack)


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _refuse(
    class_type: str, spec: InputSpec, value: Any, exists: FileExists | None, *, of_pack: bool
) -> Reason | None:
    file_kind = _file_kind(class_type, spec)
    if file_kind is not None:
        return _refuse_file(spec, value, file_kind, exists)
    if "min" in spec.options and value < spec.options["min"]:
        return reasons.below_min(spec, value)
    if "max" in spec.options and value > spec.options["max"]:
        return reasons.above_max(spec, value)
    choices = spec.choices
    if choices is None or _chosen(spec, value, choices):
        return None
    if exists is not None and isinstance(value, str) and (of_pack or _names_folder(value)):
        kind, name = split_annotated(value)
        if exists(kind, name):
            return None
    return reasons.not_in_list(spec, value, choices)


def _chosen(spec: InputSpec, value: Any, choices: list[Any]) -> bool:
    if isinstance(value, list) and spec.options.get("multiselect"):
        return all(part in choices for part in value)
    return value in choices


def _file_kind(class_type: str, spec: InputSpec) -> str | None:
    """What kind of file the input names; None: it names none."""
    core = _FILE_INPUTS.get((class_type, spec.name))
    if core is not None:
        return core
    if _UPLOADS.keys().isdisjoint(spec.options):
        return None
    return next((kind for flag, kind in _UPLOADS.items() if spec.options.get(flag)), None)


def _refuse_file(
    spec: InputSpec, value: Any, file_kind: str, exists: FileExists | None
) -> Reason | None:
    choices = spec.choices
    if exists is None and choices is None:
        return None
    for name in value if isinstance(value, list) else [value]:
        if exists is None:
            known = name in (choices or ())
        else:
            known = isinstance(name, str) and exists(*split_annotated(name))
        if known:
            continue
        if file_kind:
            return reasons.invalid_file(spec, file_kind, name)
        return reasons.not_in_list(spec, name, choices or [])
    return None


def _names_folder(value: str) -> bool:
    return value.endswith(tuple(f"[{kind}]" for kind in _KINDS))


def split_annotated(name: str) -> tuple[str, str]:
    """Splits ``pic.png [output]`` into ``("output", "pic.png")``; no suffix means input."""
    for kind in _KINDS:
        suffix = f" [{kind}]"
        if name.endswith(suffix):
            return kind, name[: -len(suffix)]
    return "input", name
