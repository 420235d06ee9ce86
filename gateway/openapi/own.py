"""Routes that no ComfyUI has (pure)."""

from __future__ import annotations

from typing import Final

from gateway.errors import Error
from gateway.names import FILE_TYPES
from gateway.openapi.operation import NOTHING, PLAIN, TEXT, Operation
from gateway.own_files import Uploads

_KIND: Final = {"enum": list(FILE_TYPES), "default": "input"}

OWN: Final = (
    Operation(
        method="GET",
        path="/vramgate/files",
        summary="The caller's uploads and how much room they take",
        answers={200: [Uploads]},
        under_api=False,
    ),
    Operation(
        method="DELETE",
        path="/vramgate/files",
        summary="Drop one of the caller's uploads",
        query={"type": _KIND, "path": TEXT},
        required=frozenset({"path"}),
        answers={204: [], 400: [Error], 404: [NOTHING]},
        under_api=False,
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        summary="This description",
        answers={200: [dict]},
        under_api=False,
    ),
)

HEALTH: Final = (
    Operation(
        method="GET",
        path="/healthz",
        summary="Whether the process lives",
        answers={200: [PLAIN]},
        under_api=False,
        open=True,
    ),
    Operation(
        method="GET",
        path="/readyz",
        summary="Whether prompts would be taken and run",
        answers={200: [PLAIN], 503: [PLAIN]},
        under_api=False,
        open=True,
    ),
)
