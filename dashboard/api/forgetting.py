"""``POST /api/v1/users/{name}/forget``: all that is known of a user goes, for good."""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web

from dashboard.api.asking import Refused, Who, admin, answer, refusing
from dashboard.api.described import Described, body, part
from dashboard.api.posted import posted, takes
from dashboard.operations import NotDone, Operations
from dashboard.shapes import Failed


class Forgotten(TypedDict):
    """Rows and files that were deleted, by kind; sums stay under no name."""

    gone: dict[str, int]


class Forgetting:
    """For admins alone, and only who repeats the name is believed."""

    def __init__(self, operations: Operations, who: Who) -> None:
        self._operations = operations
        self._who = who

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [web.post("/api/v1/users/{name}/forget", refusing(self.forget))]

    async def forget(self, request: web.Request) -> web.Response:
        """Needs ``{"confirm": "<name>"}``."""
        asking = admin(self._who, request)
        name = request.match_info["name"]
        if (await posted(request)).get("confirm") != name:
            raise Refused(400, "Send `confirm` with the user's name: it cannot be undone.")
        try:
            gone = await self._operations.forget(name, asking.user)
        except NotDone as error:
            raise Refused(409, str(error)) from error
        told: Forgotten = {"gone": dict(gone)}
        return answer(request, told)


def describe() -> Described:
    """For the document of the API."""
    return Described(
        {
            "/api/v1/users/{name}/forget": {
                "post": {
                    "summary": "Remove all that is known of a user",
                    "description": "For admins. Sums of usage stay, under no name.",
                    "parameters": [part("name", "The user's name.")],
                    "requestBody": takes(confirm={"type": "string"}),
                    "responses": {
                        "200": body("It is done.", Forgotten),
                        "304": {"description": "The caller has it already (`If-None-Match`)."},
                        "400": body("The name is not repeated.", Failed),
                        "403": body("The caller is no admin.", Failed),
                        "409": body("It cannot be done now; the text says why.", Failed),
                        "413": body("The body is too long.", Failed),
                        "503": body("Queue or store do not answer: nothing was removed.", Failed),
                    },
                }
            }
        },
        (Forgotten,),
    )
