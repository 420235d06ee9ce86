"""The user's names ↔ the worker's names (``docs/decisions/0001``). Pure.

On a worker everything of a user lies below ``vg/<user>/``: outputs because
their ``filename_prefix`` says so, inputs because they are uploaded there. Ids
differ too: the worker knows a prompt by its attempt's uuid and our socket's
sid. Nothing of that may be seen above the agent.

The prefix is the comfort; who owns an output is decided by the ledger's file
records. A prefix that another node computes (a link) cannot be rewritten here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import normpath
from typing import Any, Final
from unicodedata import category, normalize

from scheduler.workflow.drawn_scene import is_scene, pictures_of
from scheduler.workflow.passed_pictures import PASSED, left_picture
from worker_agent import loose_json

#: first folder of everything of ours on a worker's disk
ROOT: Final = "vg"
#: an input that we add to output nodes that take no prefix; their worker does not know it, but
#: keys its cache with it
MARK: Final = "vg"
#: folder of a worker's inputs for models in three dimensions
MODELS: Final = "3d/"
#: what a worker calls an output whose prefix is empty
_DEFAULT_PREFIX: Final = "ComfyUI"
_SUFFIXES: Final = (("[output]", "output"), ("[input]", "input"), ("[temp]", "temp"))

#: ``(type, subfolder, filename)``, in either side's names
FileKey = tuple[str, str, str]
#: node, input, part of a scene or ""
Place = tuple[str, str, str]
Graph = Mapping[str, Any]


# ── what the worker's nodes take ─────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class NodeSchema:
    """What ``/object_info`` says of a class, as far as names matter."""

    output: bool
    #: inputs that name a file → type of the folder they read from
    files: Mapping[str, str]
    #: inputs that take one of a list
    combos: frozenset[str]
    #: inputs whose value holds pictures of a scene by what they show (``scheduler.workflow.drawn_scene``)
    scenes: frozenset[str] = frozenset()


Schema = Mapping[str, NodeSchema]


def read_schema(object_info: Mapping[str, Any]) -> dict[str, NodeSchema]:
    """Reduce ``/object_info`` (half a megabyte) to what translation needs."""
    return {name: _read_node(node) for name, node in object_info.items() if isinstance(node, dict)}


def _read_node(node: Mapping[str, Any]) -> NodeSchema:
    files: dict[str, str] = {}
    combos: set[str] = set()
    scenes: set[str] = set()
    for name, config in _declared_inputs(node):
        options = config[1] if len(config) > 1 and isinstance(config[1], dict) else {}
        if any(key.endswith("upload") and options[key] for key in options):
            files[name] = str(options.get("image_folder", "input"))
        elif isinstance(config[0], list) or config[0] == "COMBO":
            combos.add(name)
        elif is_scene(config[0]):
            scenes.add(name)
    output = bool(node.get("output_node"))
    return NodeSchema(output, files, frozenset(combos), frozenset(scenes))


def _declared_inputs(node: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    groups = node.get("input")
    if not isinstance(groups, dict):
        return
    for group in ("required", "optional"):
        inputs = groups.get(group)
        if isinstance(inputs, dict):
            for name, config in inputs.items():
                if isinstance(config, list) and config:
                    yield name, config


# ── paths ────────────────────────────────────────────────────────────────────


def inside(path: str) -> str:
    """The path without anything that leads out of its folder; "" if nothing is left."""
    clean = "".join(char for char in path.replace("\\", "/") if category(char) not in ("Cc", "Cs"))
    # Windows drops dots and spaces at a name's end: to it ``.. `` climbs as well
    return "/".join(part for part in clean.split("/") if part.strip(". "))


def worker_path(user: str, path: str) -> str:
    """Where the user's ``path`` lies below a worker's folders."""
    rest = inside(path)
    return f"{ROOT}/{user}/{rest}" if rest else f"{ROOT}/{user}"


def input_path(user: str, path: str) -> str:
    """Where an upload lies below a worker's input folder.

    Models stay below ``3d``: Load3D lists that folder alone, and takes only what it lists.
    """
    rest = inside(path)
    if rest.startswith(MODELS):
        return MODELS + worker_path(user, rest.removeprefix(MODELS))
    return worker_path(user, rest)


def worker_prefix(user: str, prefix: str) -> str:
    """``filename_prefix`` as the worker gets it: always below the user's folder.

    One that was read back from a delivered picture's metadata names that folder
    already; it means what it meant when it was posted.
    """
    return worker_path(user, user_path(user, prefix) or _DEFAULT_PREFIX)


def user_path(user: str, path: str) -> str:
    """A worker's path or subfolder in the user's names; others pass unchanged."""
    clean = inside(path)
    folder = MODELS if clean.startswith(MODELS) else ""
    parts = clean.removeprefix(folder).split("/")
    return inside(folder + "/".join(parts[2:])) if parts[:2] == [ROOT, user] else clean


def is_foreign(user: str, subfolder: str) -> bool:
    """True where a subfolder belongs to somebody else, or climbs out of its folder."""
    parts = subfolder.replace("\\", "/").split("/")
    if ".." in parts or subfolder.startswith("/"):
        return True
    kept = inside(subfolder).removeprefix(MODELS).split("/")
    return kept[0] == ROOT and kept[1:2] != [user]


def split_annotation(value: str) -> tuple[str, str | None]:
    """``"a/b.png [output]"`` → ``("a/b.png", "output")``; None: no annotation."""
    for suffix, type_ in _SUFFIXES:
        if value.endswith(suffix):
            return value[: -len(suffix)].rstrip(" "), type_
    return value, None


# ── a prompt on its way in ───────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FileRef:
    """An input of a node that names one of the user's files."""

    node: str
    input: str
    #: ``input``, ``output`` or ``temp``
    type: str
    #: the user's name for it, below the folder of that type
    path: str
    #: of a scene: which of its pictures
    part: str = ""

    @property
    def place(self) -> Place:
        """Where in the graph it stands."""
        return self.node, self.input, self.part


def find_refs(graph: Graph, schema: Schema, known: Collection[str]) -> list[FileRef]:
    """Every input that names a user's file.

    Args:
        graph: the prompt's nodes, user's names.
        schema: what the worker's nodes take.
        known: paths the gateway found to be the user's uploads; they also count
            in lists without an upload button and in classes we know nothing of.
    """
    return [
        ref
        for place, value, declared in _literals(graph, schema)
        if (ref := _ref(place, value, declared, known)) is not None
    ]


def _literals(graph: Graph, schema: Schema) -> Iterator[tuple[Place, str, NodeSchema | None]]:
    for node_id, node in graph.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            continue
        declared = schema.get(str(node.get("class_type")))
        for name, value in inputs.items():
            if isinstance(value, str) and value and name != "filename_prefix":
                yield (node_id, name, ""), value, declared
            elif isinstance(value, dict) and declared is not None and name in declared.scenes:
                for part, picture in pictures_of(value):
                    yield (node_id, name, part), picture, declared


def _ref(
    place: Place, value: str, declared: NodeSchema | None, known: Collection[str]
) -> FileRef | None:
    node, name, part = place
    path, annotated = split_annotation(value)
    # as the gateway names uploads
    path = inside(normpath(normalize("NFC", path).replace("\\", "/")))
    if declared is not None and (part or name in declared.files):
        return FileRef(node, name, annotated or "input", path, part)
    listed = declared is None or name in declared.combos
    if listed and (path in known or value in known):
        return FileRef(node, name, annotated or "input", path)
    return None


def to_worker(
    graph: Graph, user: str, values: Mapping[Place, str], schema: Schema
) -> dict[str, Any]:
    """The graph as the worker gets it; the original stays as it is.

    Tensors are shared among users who run the same; what an output node makes never is, for
    it carries its maker's graph. A prefix of the user's own sees to that, else a mark.

    Args:
        graph: the prompt's nodes, user's names.
        user: whose prompt it is.
        values: the worker's name of the file that stands at each place.
        schema: what the worker's nodes take.
    """
    translated: dict[str, Any] = {}
    for node_id, node in graph.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            translated[node_id] = node
            continue
        renamed = {
            name: _renamed(values, (node_id, name), _prefixed(user, name, value))
            for name, value in inputs.items()
        }
        declared = schema.get(str(node.get("class_type")))
        makes = declared is not None and declared.output
        if makes and not isinstance(inputs.get("filename_prefix"), str):
            renamed[MARK] = f"{ROOT}/{user}/"
        translated[node_id] = {**node, "inputs": renamed}
    return translated


def _renamed(values: Mapping[Place, str], at: tuple[str, str], value: Any) -> Any:
    """An input's value in the worker's names, a scene's pictures one by one."""
    if isinstance(value, dict):
        return {part: values.get((*at, str(part)), one) for part, one in value.items()}
    return values.get((*at, ""), value)


def renamed_values(graph: Graph, translated: Graph) -> dict[str, str]:
    """Each value that ``to_worker`` changed → what the user had written in its place."""
    changed: dict[str, str] = {}
    for node_id, node in translated.items():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            continue
        before = graph[node_id]["inputs"]
        for name, value in inputs.items():
            now, was = _texts(value), _texts(before.get(name))
            changed |= {now[part]: was[part] for part in now.keys() & was if now[part] != was[part]}
    return changed


def _texts(value: Any) -> dict[str, str]:
    """A text by itself, or those of a scene."""
    parts = value if isinstance(value, dict) else {"": value}
    return {part: text for part, text in parts.items() if isinstance(text, str)}


def _prefixed(user: str, name: str, value: Any) -> Any:
    # on every class, not only on declared output nodes: some write and return a path
    if name == "filename_prefix" and isinstance(value, str):
        return worker_prefix(user, value)
    return value


# ── anything on its way back ─────────────────────────────────────────────────


def find_files(value: Any) -> list[FileKey]:
    """Outputs and temporary files named anywhere in a message, worker's names."""
    found: dict[FileKey, None] = {}
    for item in _dicts(value):
        key = file_key(item)
        if key is not None and key[0] != "input":
            found[key] = None
        elif (picture := left_picture(item)) is not None:
            found[PASSED, "", picture] = None
    return list(found)


def file_key(item: Mapping[str, Any]) -> FileKey | None:
    """The file that a ComfyUI output dict names, or None if it names none."""
    filename = item.get("filename")
    if not isinstance(filename, str) or not filename:
        return None
    subfolder = item.get("subfolder")
    type_ = item.get("type")
    return (
        type_ if type_ in ("output", "temp", "input") else "output",
        subfolder if isinstance(subfolder, str) else "",
        filename,
    )


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for child in value.values():
            yield from _dicts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _dicts(child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Both sides' names for one attempt."""

    user: str
    prompt_id: str
    attempt_uuid: str
    client_id: str | None
    sid: str
    #: a worker's input path → the user's, where they differ by more than the folder
    inputs: Mapping[str, str] = field(default_factory=dict)
    #: a value of the worker's graph → what the user had written in its place
    values: Mapping[str, str] = field(default_factory=dict)

    def to_user(self, value: Any, files: Mapping[FileKey, FileKey]) -> Any:
        """A message, result or list in the user's names.

        Args:
            value: decoded JSON as the worker sent it.
            files: outputs by the worker's name → by the user's, as the ledger recorded them.
        """
        match value:
            case str():
                return self._text(value)
            case list():
                return [self.to_user(item, files) for item in value]
            case dict():
                return self._dict(value, files)
            case _:
                return value

    def relayed(self, data: str) -> str:
        """JSON without escapes and files, in the user's names: it need not be decoded for that."""
        for worker_s, user_s in ((self.attempt_uuid, self.prompt_id), (self.sid, self.client_id)):
            if worker_s and worker_s != user_s and worker_s in data:
                data = data.replace(f'"{worker_s}"', loose_json.encode(user_s or "").decode())
        return data

    def _text(self, value: str) -> str:
        if value == self.attempt_uuid:
            return self.prompt_id
        if value == self.sid:
            return self.client_id or ""
        # some nodes hand on the name of what they have loaded
        return self.inputs.get(value, value)

    def _dict(self, value: dict[str, Any], files: Mapping[FileKey, FileKey]) -> dict[str, Any]:
        mapped = {self._text(key): self.to_user(item, files) for key, item in value.items()}
        key = file_key(value)
        if key is None:
            return mapped
        type_, subfolder, filename = self._file(key, files)
        # some packs add where the file lies on their host
        mapped.pop("fullpath", None)
        mapped["filename"] = filename
        if subfolder or "subfolder" in value:
            mapped["subfolder"] = subfolder
        if "type" in value:
            mapped["type"] = type_
        return mapped

    def _file(self, key: FileKey, files: Mapping[FileKey, FileKey]) -> FileKey:
        if key in files:
            return files[key]
        type_, subfolder, filename = key
        path = f"{inside(subfolder)}/{filename}" if inside(subfolder) else filename
        if type_ == "input" and path in self.inputs:
            folder, _, name = self.inputs[path].rpartition("/")
            return type_, folder, name
        return type_, user_path(self.user, subfolder), filename
