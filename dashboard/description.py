"""The dashboard's API in the words of OpenAPI: the part that ``cli`` hands to the gateway.

Schemas are made of ``dashboard.shapes``, which the code that answers is checked against.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dashboard import live_shapes, shapes
from dashboard.actions import ACTIONS
from dashboard.api import (
    advice,
    alerts,
    audit,
    contention,
    forgetting,
    jobs,
    limit_fields,
    maintenance,
    perf,
    queue,
    samples,
    statement,
    upkeep,
    users,
    what_ifs,
    workflows,
)
from dashboard.api.described import PREFIX, Json, body, ref
from dashboard.estimate import MOST_BYTES
from dashboard.estimate import PATH as ESTIMATE_PATH

_SHAPES: Final = (
    shapes.Overview,
    shapes.Failed,
    shapes.NotChanged,
    shapes.Changed,
    shapes.Estimate,
    shapes.WrongWorkflow,
    live_shapes.Snapshot,
    live_shapes.Update,
    live_shapes.Still,
    live_shapes.Unavailable,
)
#: everything over the store, one function for each resource
_RESOURCES: Final = (
    advice.describe,
    queue.describe,
    samples.describe,
    jobs.describe,
    workflows.describe,
    perf.describe,
    users.describe,
    statement.describe,
    contention.describe,
    what_ifs.describe,
    upkeep.describe,
    limit_fields.describe,
    maintenance.describe,
    audit.describe,
    forgetting.describe,
    alerts.describe,
)


def describe() -> Mapping[str, Any]:
    """``paths`` (below the dashboard's own prefix) and ``schemas``."""
    template = f"#/components/schemas/{PREFIX}{{name}}"
    resources = [describe_one() for describe_one in _RESOURCES]
    kept = [shape for resource in resources for shape in resource.shapes]
    _, schemas = msgspec.json.schema_components([*_SHAPES, *kept], ref_template=template)
    return {
        "paths": {
            "/api/v1/overview": {"get": _overview()},
            "/api/v1/live": {"get": _live()},
            "/api/v1/jobs/{prompt_id}/{action}": {"post": _action()},
            ESTIMATE_PATH: {"post": _estimate()},
            **{path: entry for resource in resources for path, entry in resource.paths.items()},
        },
        "schemas": {PREFIX + name: schema for name, schema in schemas.items()},
    }


def _overview() -> Json:
    return {
        "summary": "The pool as the caller may see it",
        "responses": {
            "200": body("Figures of now.", shapes.Overview),
            "304": {"description": "The caller has it already (`If-None-Match`)."},
            "503": body("The queue does not answer.", shapes.Failed),
        },
    }


def _live() -> Json:
    names = (live_shapes.Snapshot, live_shapes.Update, live_shapes.Still, live_shapes.Unavailable)
    return {
        "summary": "The pool as the caller may see it, and then what changes",
        "description": "A WebSocket: a `DashboardSnapshot`, then `DashboardUpdate` at most twice a "
        "second, `DashboardStill` while nothing changes, `DashboardUnavailable` while there are no "
        "figures. What a client sends is not read. Who comes back with `life` and `version` of the "
        "last message gets what was missed, where it is still known.",
        "parameters": [
            _parameter("life", "query", {"type": "string"}),
            _parameter("version", "query", {"type": "integer", "minimum": 0}),
        ],
        "x-messages": {"oneOf": [ref(shape) for shape in names]},
        "responses": {
            "101": {"description": "The socket is open."},
            "400": _text("The request is no WebSocket's."),
            "503": _text("Too many pages are open."),
        },
    }


def _action() -> Json:
    return {
        "summary": "Hold, unhold, move or cancel a job",
        "parameters": [
            _parameter("prompt_id", "path", {"type": "string"}),
            _parameter("action", "path", {"enum": list(ACTIONS)}),
            _parameter("user", "query", {"type": "string"}) | {"description": "For admins."},
        ],
        "responses": {
            "200": body("The job as it is now.", shapes.Changed),
            "403": body("The caller's role does not allow it.", shapes.Failed),
            "404": body(
                "The caller has no such job, or (empty) there is no such action.", shapes.Failed
            )
            | {"x-may-be-empty": True},
            "409": body("It is too late.", shapes.NotChanged),
            "503": body("The queue does not answer.", shapes.Failed),
        },
    }


def _estimate() -> Json:
    graph = {"type": "object", "additionalProperties": {"type": "object"}}
    posted = {"type": "object", "properties": {"prompt": graph}, "required": ["prompt"]}
    return {
        "summary": "What a workflow would need and when it would start",
        "description": "As for `POST /prompt`; nothing is queued.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": posted}}},
        "responses": {
            "200": body("The estimate.", shapes.Estimate),
            "400": body("It is no workflow, or a wrong one.", shapes.Failed, shapes.WrongWorkflow),
            "413": body(f"It has more than {MOST_BYTES} bytes.", shapes.Failed),
            "503": body("The queue does not answer.", shapes.Failed),
        },
    }


def _parameter(name: str, place: str, schema: Json) -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _text(description: str) -> Json:
    return {
        "description": description,
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
