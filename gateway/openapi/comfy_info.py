"""ComfyUI's routes about nodes, models and the server (pure)."""

from __future__ import annotations

from typing import Any, Final

from gateway.openapi import shapes
from gateway.openapi.operation import FILE, NOTHING, TEXT, Operation

_OPEN: Final = (
    ("/object_info/{node_class}", "One node class; an unknown one is an empty object", dict),
    ("/features", "What this server can do", dict),
    ("/extensions", "Scripts that the browser UI loads", list[str]),
    ("/i18n", "Translations of node packs", dict),
    ("/workflow_templates", "Names of node packs' templates", dict),
    ("/models", "Names of model folders", list[str]),
    ("/embeddings", "Names of embeddings", list[str]),
    ("/experiment/models", "Model folders", list[shapes.ModelFolder]),
    ("/global_subgraphs", "Subgraphs of node packs by id", dict),
    ("/global_subgraphs/{id}", "One of them, or null", Any),
    ("/node_replacements", "Nodes that stand for others that are gone", dict),
    ("/system_stats", "A worker's versions, and memory of all GPUs", shapes.SystemStats),
)

INFO: Final = (
    Operation(
        method="GET",
        path="/object_info",
        summary="All node classes, with the caller's own files as choices",
        answers={200: [dict], 304: []},
    ),
    *(
        Operation(method="GET", path=path, summary=summary, answers={200: [shape]})
        for path, summary, shape in _OPEN
    ),
    Operation(
        method="GET",
        path="/models/{folder}",
        summary="Names of the models in a folder",
        answers={200: [list[str]], 404: [NOTHING]},
    ),
    Operation(
        method="GET",
        path="/experiment/models/{folder}",
        summary="Models of a folder with size and date",
        answers={200: [list[dict[str, Any]]], 404: [NOTHING]},
    ),
    Operation(
        method="GET",
        path="/experiment/models/preview/{folder}/{place}/{tail}",
        summary="A model's picture",
        answers={200: [FILE], 206: [FILE], 304: [], 404: [NOTHING]},
        of_workers=True,
    ),
    Operation(
        method="GET",
        path="/view_metadata/{folder}",
        summary="What a model file says of itself",
        query={"filename": TEXT},
        required=frozenset({"filename"}),
        answers={200: [Any], 404: [NOTHING]},
        of_workers=True,
    ),
    Operation(
        method="GET",
        path="/api/workflow_templates/{tail}",
        summary="A node pack's template, or its picture",
        answers={200: [FILE], 206: [FILE], 304: [], 404: [NOTHING]},
        under_api=False,
        of_workers=True,
    ),
    Operation(
        method="POST",
        path="/free",
        summary="For admins: idle workers give their memory back",
        body=[shapes.Freeing],
        needs_body=False,
        answers={200: []},
    ),
    Operation(
        method="GET",
        path="/internal/folder_paths",
        summary="Nothing: paths of hosts stay there",
        answers={200: [dict]},
        under_api=False,
    ),
)
