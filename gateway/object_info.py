"""``/object_info`` of several workers as one, and as one user may see it. Pure.

An input is ``[kind, options]``: ``kind`` is a list (a combo's choices) or a type's name;
newer nodes say ``["COMBO", {"options": [...]}]``. Choices that are *files of a user* are
marked by an option that ends in ``_upload``; the classes that do not say so and are known
are named here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.media_types import media_type

_SECTIONS: Final = ("required", "optional")
#: what an upload button takes, by the option that shows it; others take any file
_MEDIA: Final[dict[str, tuple[str, ...]]] = {
    "image_upload": ("image/",),
    "animated_image_upload": ("image/",),
    "video_upload": ("video/",),
    "audio_upload": ("audio/", "video/"),
}
_FILMS: Final = (".webm", ".mp4", ".mkv", ".gif", ".mov")
#: inputs that list the input folder without marking it, and the names they list: of ComfyUI
#: itself and of VideoHelperSuite 1.7.9
UNMARKED: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("LoadLatent", "latent"): (".latent",),
    ("VHS_LoadVideo", "video"): _FILMS,
    ("VHS_LoadVideoFFmpeg", "video"): _FILMS,
    ("VHS_LoadAudioUpload", "audio"): (".mp3", ".mp4", ".wav", ".ogg"),
}
#: lists of models take what lies in this folder or below it, with one of these names
_MODELS: Final = "3d/"
_MODEL_MARK: Final = "file_upload"
_MODEL_NAMES: Final = (".gltf", ".glb", ".obj", ".fbx", ".stl")
#: of ComfyUI's own classes that take fewer
_FEWER_MODELS: Final = {("Load3DAnimation", "model_file"): (".gltf", ".glb", ".fbx")}
_PACKS: Final = "custom_nodes."


@dataclass(frozen=True, slots=True)
class UserFiles:
    """Names that fill a user's file choices: top level, and models, as ComfyUI lists them."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    #: with their folder
    models: tuple[str, ...] = ()


def user_files(paths: Iterable[str], outputs: tuple[str, ...]) -> UserFiles:
    """A user's choices of the paths of all uploads, and of what outputs it may choose."""
    inputs, models = [], []
    for path in sorted(paths):
        if "/" not in path:
            inputs.append(path)
        elif path.startswith(_MODELS) and path.lower().endswith(_MODEL_NAMES):
            models.append(path)
    return UserFiles(tuple(inputs), outputs, tuple(models))


def merge(infos: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All classes of all workers; choices of a combo are united, the first worker's order first."""
    merged: dict[str, Any] = {}
    for info in infos:
        for name, node in info.items():
            known = merged.get(name)
            merged[name] = node if known is None else _unite(known, node)
    return merged


def _unite(known: Any, other: Any) -> Any:
    if known == other:
        return known
    united = dict(known)
    inputs = dict(known.get("input") or {})
    for section in _SECTIONS:
        mine, theirs = inputs.get(section), (other.get("input") or {}).get(section)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            inputs[section] = {
                name: _with_choices(spec, _union(choices(spec), choices(theirs.get(name))))
                for name, spec in mine.items()
            }
    united["input"] = inputs
    return united


def _union(mine: Sequence[Any] | None, theirs: Sequence[Any] | None) -> list[Any] | None:
    if mine is None or theirs is None:
        return None
    return [*mine, *(choice for choice in theirs if choice not in mine)]


def choices(spec: Any) -> list[Any] | None:
    """A combo's choices in either spelling; None where the input is no combo with a list."""
    if not isinstance(spec, list) or not spec:
        return None
    if isinstance(spec[0], list):
        return spec[0]
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    found = options.get("options")
    return found if spec[0] == "COMBO" and isinstance(found, list) else None


def _with_choices(spec: Any, found: list[Any] | None) -> Any:
    if found is None:
        return spec
    if isinstance(spec[0], list):
        return [found, *spec[1:]]
    return [spec[0], {**spec[1], "options": found}, *spec[2:]]


def is_of_a_pack(definition: Any) -> bool:
    """Whether a class comes with a node pack: only its own code knows all that it allows."""
    module = definition.get("python_module") if isinstance(definition, dict) else None
    return isinstance(module, str) and module.startswith(_PACKS)


def file_classes(info: Mapping[str, Any]) -> frozenset[str]:
    """Classes whose description depends on who asks."""
    return frozenset(name for name, node in info.items() if any(_file_inputs(name, node)))


def lists_outputs(info: Mapping[str, Any]) -> bool:
    """Whether any class offers the user's outputs as choices."""
    return any(
        marks.get("image_folder") == "output"
        for name, node in info.items()
        for _, _, _, marks in _file_inputs(name, node)
    )


def for_user(name: str, node: Mapping[str, Any], files: UserFiles) -> Any:
    """One class as this user sees it; the original is not changed."""
    inputs = dict(node["input"])
    for section, key, spec, marks in _file_inputs(name, node):
        shown = _with_choices(spec, _own(name, key, marks, files))
        inputs[section] = {**inputs[section], key: shown}
    return {**node, "input": inputs}


def _file_inputs(name: str, node: Any) -> Iterator[tuple[str, str, Any, Mapping[str, Any]]]:
    """Section, name, spec and options of the inputs that choose among a user's files."""
    inputs = node.get("input") if isinstance(node, dict) else None
    for section in _SECTIONS:
        found = (inputs or {}).get(section)
        for key, spec in found.items() if isinstance(found, dict) else ():
            if choices(spec) is None:
                continue
            marks = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
            if (name, key) in UNMARKED or any(_is_mark(mark, marks[mark]) for mark in marks):
                yield section, key, spec, marks


def _is_mark(option: str, value: Any) -> bool:
    return option.endswith("_upload") and bool(value)


def _own(name: str, key: str, marks: Mapping[str, Any], files: UserFiles) -> list[str]:
    names = files.outputs if marks.get("image_folder") == "output" else files.inputs
    suffixes = UNMARKED.get((name, key))
    if suffixes is not None:
        return [one for one in names if one.lower().endswith(suffixes)]
    if marks.get(_MODEL_MARK):
        fewer = _FEWER_MODELS.get((name, key), _MODEL_NAMES)
        return [one for one in files.models if one.lower().endswith(fewer)]
    media = [_MEDIA.get(mark, ("",)) for mark in marks if _is_mark(mark, marks[mark])]
    wanted = tuple(start for starts in media for start in starts)
    return [one for one in names if _media_type(one).startswith(wanted)]


def _media_type(filename: str) -> str:
    return media_type(filename) or ""
