"""ComfyUI's routes about files, settings and documents of a user (pure)."""

from __future__ import annotations

from typing import Any, Final

from gateway.errors import Error
from gateway.names import FILE_TYPES
from gateway.openapi import shapes
from gateway.openapi.operation import (
    BYTES,
    FILE,
    FLAG,
    NOTHING,
    PLAIN,
    TEXT,
    Media,
    Operation,
)

_KIND: Final = {"enum": list(FILE_TYPES)}
_FORM: Final = {
    "image": BYTES,
    "type": _KIND,
    "subfolder": TEXT,
    "overwrite": {"enum": ["true", "false", "1"]},
}
_IMAGE: Final = Media(
    "multipart/form-data", {"type": "object", "properties": _FORM, "required": ["image"]}
)
_MASK: Final = Media(
    "multipart/form-data",
    {
        "type": "object",
        "properties": {**_FORM, "original_ref": TEXT},
        "required": ["image", "original_ref"],
    },
)
_RAW: Final = Media("application/octet-stream", BYTES)
_STORED: Final = {"overwrite": FLAG, "full_info": FLAG}

FILES: Final = (
    Operation(
        method="GET",
        path="/view",
        summary="A file of the caller's, its preview, or some of its channels",
        query={
            "filename": TEXT,
            "type": _KIND,
            "subfolder": TEXT,
            "preview": TEXT,
            "channel": {"enum": ["rgba", "rgb", "a"]},
        },
        required=frozenset({"filename"}),
        answers={
            200: [FILE],
            206: [FILE],
            304: [],
            400: [NOTHING, Error],
            403: [NOTHING],
            404: [NOTHING],
            416: [NOTHING],
        },
        of_workers=True,
    ),
    Operation(
        method="POST",
        path="/upload/image",
        summary="Keep a file",
        body=[_IMAGE],
        answers={200: [shapes.KeptFile], 400: [NOTHING]},
    ),
    Operation(
        method="POST",
        path="/upload/mask",
        summary="Keep the original's colours under the alpha that is sent",
        body=[_MASK],
        answers={200: [shapes.KeptFile], 400: [NOTHING]},
        of_workers=True,
    ),
    Operation(
        method="GET",
        path="/internal/files/{type}",
        summary="Names of the caller's files of one type",
        answers={200: [list[str]], 400: [shapes.Message]},
        under_api=False,
    ),
    Operation(
        method="PUT",
        path="/api/etn/image/{id}",
        summary="Keep a picture under an id of the client's choice",
        body=[_RAW],
        answers={200: [shapes.Status], 201: [shapes.Status]},
        under_api=False,
    ),
    Operation(
        method="GET",
        path="/api/etn/image/{id}",
        summary="A picture that was sent, or that a node left",
        answers={200: [FILE], 206: [FILE], 304: [], 400: [Error], 404: [shapes.Message, NOTHING]},
        under_api=False,
        of_workers=True,
    ),
)

DOCUMENTS: Final = (
    Operation(
        method="GET",
        path="/users",
        summary="That there is nobody to choose",
        answers={200: [shapes.Users]},
    ),
    Operation(
        method="POST",
        path="/users",
        summary="Refused: users are made by admins",
        body=[shapes.NewUser],
        answers={403: [shapes.Message]},
    ),
    Operation(
        method="GET",
        path="/settings",
        summary="The caller's settings",
        answers={200: [dict[str, Any]]},
    ),
    Operation(
        method="POST",
        path="/settings",
        summary="Set some of them",
        body=[dict[str, Any]],
        answers={200: []},
    ),
    Operation(
        method="GET",
        path="/settings/{id}",
        summary="One of them, or null",
        answers={200: [Any]},
    ),
    Operation(
        method="POST",
        path="/settings/{id}",
        summary="Set one",
        body=[Any],
        answers={200: []},
    ),
    Operation(
        method="GET",
        path="/userdata",
        summary="The caller's documents below a folder",
        query={"dir": TEXT, "recurse": FLAG, "full_info": FLAG, "split": FLAG},
        required=frozenset({"dir"}),
        answers={
            200: [list[str], list[list[str]], list[shapes.FileInfo]],
            400: [PLAIN],
            403: [PLAIN],
            404: [PLAIN],
        },
    ),
    Operation(
        method="GET",
        path="/v2/userdata",
        summary="Documents and folders below a folder",
        query={"path": TEXT},
        answers={200: [list[shapes.Entry]], 400: [PLAIN], 404: [PLAIN]},
    ),
    Operation(
        method="GET",
        path="/userdata/{file}",
        summary="A document",
        answers={200: [FILE], 304: [], 403: [NOTHING], 404: [NOTHING]},
    ),
    Operation(
        method="POST",
        path="/userdata/{file}",
        summary="Store a document",
        query=_STORED,
        body=[_RAW],
        needs_body=False,
        answers={200: [str, shapes.FileInfo], 403: [NOTHING], 409: [PLAIN]},
    ),
    Operation(
        method="DELETE",
        path="/userdata/{file}",
        summary="Remove a document",
        answers={204: [], 403: [NOTHING], 404: [NOTHING]},
    ),
    Operation(
        method="POST",
        path="/userdata/{file}/move/{dest}",
        summary="Rename a document",
        query=_STORED,
        answers={
            200: [str, shapes.FileInfo],
            403: [NOTHING],
            404: [NOTHING],
            409: [PLAIN],
        },
    ),
)
