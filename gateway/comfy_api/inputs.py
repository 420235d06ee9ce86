"""The files a prompt reads: which of its values name one, and which bytes are meant.

Bytes are fixed when the prompt is accepted (``docs/decisions/0001``). An upload
has them already; an output of the user's own or a mate's (``pic.png [output]``,
``@mia/pic.png [output]``) is fetched from the host that made it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.comfy_api.files import output_record
from gateway.context import Services
from gateway.errors import UpstreamDown
from gateway.names import BadName, Escape, FileName, clean_path, split_annotation
from gateway.object_info import UNMARKED, choices, is_of_a_pack
from scheduler.states import InputFile
from scheduler.workflow.drawn_scene import is_scene, pictures_of
from scheduler.workflow.passed_pictures import PASSED, pinned_name, read_pictures

_SECTIONS: Final = ("required", "optional")
#: in a class that nobody described, what looks like a file may be one
_LOOKS_LIKE_FILE: Final = re.compile(r"[^\n]{1,500}\.[A-Za-z0-9]{2,11}( \[(input|output|temp)\])?")
#: values of one prompt that are looked up; no real graph has more
_MOST: Final = 1000
#: outputs looked up at the same time, so that one prompt does not take the agents
_PARALLEL: Final = 8

#: ``(type, path)``: type is ``input``, ``output`` or ``temp``
FileKey = tuple[str, str]


def named_files(prompt: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[FileKey, str]:
    """Values that may name a file of the user, with the name the prompt uses for it."""
    found: dict[FileKey, str] = {}
    for value in _candidates(prompt, object_info):
        key = file_key("input", value)
        if key is not None and len(found) < _MOST:
            found.setdefault(key, value)
    for _, picture in read_pictures(prompt):
        if len(found) < _MOST:
            found.setdefault((PASSED, picture), pinned_name(picture))
    return found


def file_key(folder: str, value: str) -> FileKey | None:
    """``("input", "a.png [temp]")`` → ``("temp", "a.png")``; None: no name of a file."""
    name, annotated = split_annotation(value)
    try:
        return annotated or folder, clean_path(name)
    except (BadName, Escape):
        return None


async def find_files(
    services: Services, user: str, names: Mapping[FileKey, str]
) -> dict[FileKey, InputFile]:
    """The files among the names that the user may use. What is not there is left out.

    An input file is recorded by its path, another by the value that names it
    (``a.png [output]``), so that ``a.png`` of both kinds can be told apart.
    """
    meant = {key: _meant(services, user, key) for key in names}
    uploads = await _uploads(services, meant)
    gate = asyncio.Semaphore(_PARALLEL)

    async def output(key: FileKey) -> InputFile | None:
        async with gate:
            return await _fetch_output(services, *meant[key])

    others = [key for key in names if key not in uploads and key[0] != "input"]
    outputs = dict(zip(others, await asyncio.gather(*map(output, others)), strict=True))
    found: dict[FileKey, InputFile] = {}
    for key, value in names.items():
        file = uploads.get(key) or outputs.get(key)
        if file is not None:
            name = key[1] if key[0] == "input" else value
            found[key] = InputFile(path=name, sha256=file.sha256, size_bytes=file.size_bytes)
    return found


def _meant(services: Services, user: str, key: FileKey) -> tuple[str, FileName]:
    """Whose file a user means by a name, and how its owner calls it."""
    type_, path = key
    folder, _, filename = path.rpartition("/")
    return services.mates.owner(user, FileName(type_, folder, filename))


async def _uploads(
    services: Services, meant: Mapping[FileKey, tuple[str, FileName]]
) -> dict[FileKey, InputFile]:
    """The uploads among them; one question for each owner, however many files a prompt reads."""
    asked: dict[str, dict[FileKey, FileKey]] = {}
    for key, (owner, named) in meant.items():
        asked.setdefault(owner, {})[key] = (named.type, named.path)
    found: dict[FileKey, InputFile] = {}
    for owner, keys in asked.items():
        uploads = await services.input_files.find_all(owner, list(keys.values()))
        found |= {key: uploads[own] for key, own in keys.items() if own in uploads}
    return found


def _candidates(prompt: Mapping[str, Any], object_info: Mapping[str, Any]) -> Iterator[str]:
    for node in prompt.values():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            continue
        class_type = str(node.get("class_type"))
        declared = object_info.get(class_type)
        for name, value in inputs.items():
            if isinstance(value, str) and _may_name_file(class_type, declared, name, value):
                yield value
            elif isinstance(value, dict) and _takes_scene(declared, name):
                yield from (picture for _, picture in pictures_of(value))


def _may_name_file(class_type: str, declared: Any, name: str, value: str) -> bool:
    looks_like_file = _LOOKS_LIKE_FILE.fullmatch(value) is not None
    if not isinstance(declared, dict):
        return looks_like_file
    spec = _spec(declared, name)
    if spec is None:
        return False
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    if any(key.endswith("upload") and options[key] for key in options):
        return bool(value)
    if (class_type, name) in UNMARKED:
        return bool(value)
    listed = isinstance(spec[0], list) or spec[0] == "COMBO"
    if not listed or not looks_like_file:
        return False
    if split_annotation(value)[1] is not None:
        return True
    # many packs list the input folder without saying so, as it was when they were asked
    known = choices(spec)
    return is_of_a_pack(declared) and known is not None and value not in known


def _takes_scene(declared: Any, name: str) -> bool:
    spec = _spec(declared, name) if isinstance(declared, dict) else None
    return spec is not None and is_scene(spec[0])


def _spec(declared: Mapping[str, Any], name: str) -> list[Any] | None:
    sections = declared.get("input")
    for section in _SECTIONS:
        inputs = sections.get(section) if isinstance(sections, dict) else None
        spec = inputs.get(name) if isinstance(inputs, dict) else None
        if isinstance(spec, list) and spec:
            return spec
    return None


async def _fetch_output(services: Services, owner: str, named: FileName) -> InputFile | None:
    """Bytes of an output that a worker made for this user, kept like an upload's."""
    record = await output_record(services, owner, named)
    if record is None:
        return None
    limit_bytes = services.settings().gateway.max_body
    try:
        blob = await services.agents.keep_file(record, services.blobs, limit_bytes)
    except UpstreamDown:
        return None  # validation says so, if an output needs the node that names it
    if blob is None:
        return None
    return InputFile(path=named.path, sha256=blob.sha256, size_bytes=blob.size_bytes)
