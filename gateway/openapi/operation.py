"""One method of one path, and how OpenAPI says it (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec

from gateway.errors import Error

Json = dict[str, Any]
TEMPLATE: Final = "#/components/schemas/{name}"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")

TEXT: Final[Mapping[str, Any]] = {"type": "string"}
WHOLE: Final[Mapping[str, Any]] = {"type": "integer"}
FLAG: Final[Mapping[str, Any]] = {"enum": ["true", "false"]}
BYTES: Final[Mapping[str, Any]] = {"type": "string", "format": "binary"}


@dataclass(frozen=True, slots=True)
class Media:
    """Content that is not JSON made of a type of ours."""

    type: str
    schema: Mapping[str, Any] = field(default_factory=dict)


#: a type of which the JSON is, or other content
Content = Any
FILE: Final = Media("*/*")
PLAIN: Final = Media("text/plain", TEXT)
#: an answer without content, where the same status can come with some
NOTHING: Final = Media("")

#: says so in a response object
MAY_BE_EMPTY: Final = "x-may-be-empty"

#: what the layers around every handler may answer instead of it
_ALWAYS: Final = (401, 403, 421, 429, 503)
#: what becomes of a body that cannot be read, is too large, or finds no room
_OF_BODY: Final = (400, 413, 507)
_OF_WORKERS: Final = (502,)
COMMON: Final = (*_ALWAYS, *_OF_BODY, *_OF_WORKERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a route takes and answers.

    Attributes:
        answers: contents by status, none for an answer without; what all routes answer
            (``COMMON``) comes by itself.
        query: schemas by parameter.
        body: contents that it takes, one of them; none: it takes no body.
        needs_body: False: it works without its body too.
        under_api: the same route is under ``/api`` too.
        open: asks for no credential.
        of_workers: passes on what a worker answers.
    """

    method: str
    path: str
    summary: str
    answers: Mapping[int, Sequence[Content]]
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    body: Sequence[Content] = ()
    needs_body: bool = True
    under_api: bool = True
    open: bool = False
    of_workers: bool = False

    def shapes(self) -> Iterator[Any]:
        """The types whose schemas it refers to."""
        for contents in (*self.answers.values(), self.body):
            yield from (one for one in contents if not isinstance(one, Media))

    def describe(self, tag: str) -> Json:
        """OpenAPI's operation object."""
        found: Json = {"tags": [tag], "summary": self.summary, "responses": self._responses()}
        parameters = [*self._in_path(), *self._in_query()]
        if parameters:
            found["parameters"] = parameters
        if self.body:
            found["requestBody"] = {"required": self.needs_body, "content": content(self.body)}
        if self.open:
            found["security"] = []
        return found

    def _in_path(self) -> Iterator[Json]:
        for name in _IN_PATH.findall(self.path):
            yield {"name": name, "in": "path", "required": True, "schema": dict(TEXT)}

    def _in_query(self) -> Iterator[Json]:
        for name, schema in self.query.items():
            required = name in self.required
            yield {"name": name, "in": "query", "required": required, "schema": dict(schema)}

    def _responses(self) -> Json:
        common = () if self.open else around(body=bool(self.body), of_workers=self.of_workers)
        responses: Json = {str(status): common_ref(status) for status in common}
        for status, contents in self.answers.items():
            wanted = (*contents, Error) if status in common else contents
            responses[str(status)] = {"description": HTTPStatus(status).phrase}
            some = [one for one in wanted if one is not NOTHING]
            if some:
                responses[str(status)]["content"] = content(some)
            if some and NOTHING in wanted:
                responses[str(status)][MAY_BE_EMPTY] = True
        return dict(sorted(responses.items()))


def around(*, body: bool, of_workers: bool = False) -> tuple[int, ...]:
    """The statuses that may come instead of a handler's own."""
    return (*_ALWAYS, *(_OF_BODY if body else ()), *(_OF_WORKERS if of_workers else ()))


def content(contents: Sequence[Content]) -> Json:
    """OpenAPI's content object; several JSON shapes become alternatives."""
    found: dict[str, list[Json]] = {}
    for one in contents:
        if isinstance(one, Media):
            found.setdefault(one.type, []).append(dict(one.schema))
        else:
            schema = msgspec.json.schema_components([one], ref_template=TEMPLATE)[0][0]
            found.setdefault("application/json", []).append(schema)
    return {
        kind: {"schema": some[0] if len(some) == 1 else {"anyOf": some}}
        for kind, some in found.items()
    }


def common_ref(status: int) -> Json:
    """Where the answer that many routes share is described."""
    return {"$ref": f"#/components/responses/{common_name(status)}"}


def common_name(status: int) -> str:
    """The name of a shared answer."""
    return HTTPStatus(status).phrase.title().replace(" ", "")
