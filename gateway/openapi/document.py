"""The whole description, made of its parts (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from gateway.errors import Error
from gateway.openapi.comfy_files import DOCUMENTS, FILES
from gateway.openapi.comfy_info import INFO
from gateway.openapi.comfy_jobs import KRITA, PROMPTS
from gateway.openapi.operation import (
    COMMON,
    TEMPLATE,
    Json,
    Operation,
    around,
    common_name,
    common_ref,
    content,
)
from gateway.openapi.own import HEALTH, OWN

#: by tag; what other applications describe has their prefix for a tag
PARTS: Final[Mapping[str, tuple[Operation, ...]]] = {
    "comfyui": (*PROMPTS, *FILES, *DOCUMENTS, *INFO, *KRITA),
    "vramgate": OWN,
    "health": HEALTH,
}
#: where paths without ``/api`` are answered
_BOTH: Final = ({"url": "/"}, {"url": "/api"})
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": "token"},
}
_ABOUT: Final = (
    "ComfyUI's API for many users, and vramgate's own. Errors have ComfyUI's shape, `Error`. "
    "Routes of node packs, the browser's pages and what agents ask are not described."
)


def document(version: str, extra: Mapping[str, Mapping[str, Any]]) -> Json:
    """OpenAPI's root object.

    Args:
        version: this program's.
        extra: ``paths`` and ``schemas`` of further applications, by their prefix.
    """
    paths: Json = {}
    for tag, operations in PARTS.items():
        for one in operations:
            item = paths.setdefault(one.path, {"servers": [*_BOTH]} if one.under_api else {})
            item[one.method.lower()] = one.describe(tag)
    schemas = _schemas()
    for prefix, part in extra.items():
        for path, item in part["paths"].items():
            paths[prefix + path] = {
                method: _behind_the_door(operation, prefix.strip("/"))
                for method, operation in item.items()
            }
        schemas.update(part["schemas"])
    return {
        "openapi": "3.1.0",
        "info": {"title": "vramgate", "version": version, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in _SECURITY],
        "paths": paths,
        "components": {
            "securitySchemes": _SECURITY,
            "responses": {common_name(status): _common(status) for status in COMMON},
            "schemas": schemas,
        },
    }


def _schemas() -> Json:
    shapes = [Error, *(shape for one in _operations() for shape in one.shapes())]
    _, schemas = msgspec.json.schema_components(shapes, ref_template=TEMPLATE)
    return dict(schemas)


def _operations() -> Iterator[Operation]:
    for operations in PARTS.values():
        yield from operations


def _behind_the_door(operation: Mapping[str, Any], tag: str) -> Json:
    """Another application's operation, with what the gateway may answer instead of it."""
    responses = dict(operation["responses"])
    for status in around(body="requestBody" in operation):
        own = responses.get(str(status))
        responses[str(status)] = common_ref(status) if own is None else _or_common(own, status)
    return {**operation, "tags": [tag], "responses": dict(sorted(responses.items()))}


def _or_common(own: Mapping[str, Any], status: int) -> Json:
    contents = dict(own.get("content", {}))
    for kind, also in _common(status)["content"].items():
        known = [contents[kind]["schema"]] if kind in contents else []
        contents[kind] = {"schema": {"anyOf": [*known, also["schema"]]}}
    return {**own, "content": contents}


def _common(status: int) -> Json:
    found: Json = {"description": HTTPStatus(status).phrase, "content": content([Error])}
    if status in (429, 503):
        retry = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        found["headers"] = {"Retry-After": retry}
    return found
