"""What settings are that admins may change, and how the API describes them."""

from __future__ import annotations

from functools import cache
from typing import Final

from config.edits import GROUP_FIELDS, POOL_PATHS, USER_FIELDS, Edit, default_of
from config.schema import settings as all_settings
from config.schema import words_for
from dashboard.api import limits_shapes as shapes
from dashboard.api.described import PAGE, Described, Json, body, inquiry, part, read
from dashboard.api.posted import takes
from dashboard.shapes import Failed


@cache
def fields() -> dict[str, shapes.LimitField]:
    """By field of users and groups (``weight``), and by path of the pool."""
    known = {setting.path: setting.info for setting in all_settings()}
    edits = [Edit(f"users.x.{field}", "user", "x", field) for field in USER_FIELDS]
    edits += [Edit(path, "pool", "", path.partition(".")[2]) for path in POOL_PATHS]
    found: dict[str, shapes.LimitField] = {}
    for edit in edits:
        of_user = edit.scope == "user"
        info = known[f"users[].{edit.field}" if of_user else edit.path]
        found[edit.field if of_user else edit.path] = {
            "words": words_for(info),
            "help": info.description or "",
            "default": default_of(edit),
        }
    return found


_PATH: Final = part(
    "path",
    "As GET /api/v1/limits has it, for example `users.anna.weight`; of users "
    f"{', '.join(USER_FIELDS)}, of groups {', '.join(GROUP_FIELDS)}.",
)
_MATCH: Final[Json] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "`revision` of GET /api/v1/limits; must be sent.",
    "schema": {"type": "string"},
}


def describe() -> Described:
    """For the document of the API."""
    path = inquiry("path", "Only of this setting.")
    before = inquiry("before", "`next` of the page before.")
    exported: Json = {
        "summary": "Changes in force, to be written into the config file",
        "responses": {
            "200": {
                "description": "JSON, which is YAML too.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "304": {"description": "The caller has it already (`If-None-Match`)."},
            "403": body("The caller is no admin.", Failed),
            "503": body("The queue does not answer.", Failed),
        },
    }
    return Described(
        {
            "/api/v1/limits": {"get": read("Caps, weights and budgets in force", shapes.Limits)},
            "/api/v1/limits/changes": {
                "get": read("Who changed them", shapes.LimitChanges, path, before, PAGE[1])
            },
            "/api/v1/limits/export": {"get": exported},
            "/api/v1/limits/values/{path}": {
                "put": _change("Change one", takes(value={})),
                "delete": _change("Take a change back", None),
            },
        },
        (
            shapes.Limits,
            shapes.LimitChanges,
            shapes.LimitSet,
            shapes.Conflict,
        ),
    )


def _change(summary: str, request: Json | None) -> Json:
    responses = {
        "200": body("As it is now.", shapes.LimitSet),
        "304": {"description": "The caller has it already (`If-None-Match`)."},
        "400": body("It is no value of this setting; the text says what would be.", Failed),
        "403": body("The caller is no admin.", Failed),
        "404": body("There is no such setting.", Failed),
        "412": body("Somebody else was faster.", shapes.Conflict),
        "413": body("The body is too long.", Failed),
        "428": body("`If-Match` is missing.", Failed),
        "503": body("Queue or store do not answer: nothing was changed.", Failed),
    }
    told: Json = {"summary": summary, "parameters": [_PATH, _MATCH], "responses": responses}
    return told if request is None else {**told, "requestBody": request}
