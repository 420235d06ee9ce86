"""The description says what there is, all of it and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.integration.gateway_info.conftest import Gateway
from tests.integration.openapi.conftest import Described
from tests.isolation.estate import headers

#: pages of browsers, what agents ask, and what takes all that is left
NOT_DESCRIBED = {
    "/",
    "/api/",
    "/login",
    "/logout",
    "/{path}",
    "/internal{tail}",
    "/cluster/v1/inputs/{sha256}",
    "/dashboard",
    "/dashboard/",
    "/dashboard/assets/{name}",
}


def routes(gateway: Gateway) -> set[tuple[str, str]]:
    found = {
        (route.method, route.resource.canonical)
        for route in gateway.client.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    return {(method, path) for method, path in found if path not in NOT_DESCRIBED}


def described_routes(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method.upper(), server["url"].rstrip("/") + path)
        for path, item in document["paths"].items()
        for server in item.get("servers", document["servers"])
        for method in item
        if method != "servers"
    }


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "servers":
                yield f"{method.upper()} {path}", operation


async def test_every_route_is_described_and_nothing_else(described: Described) -> None:
    assert described_routes(described.document) == routes(described.estate.gateway)


async def test_every_reference_leads_somewhere(described: Described) -> None:
    for reference in set(references(described.document)):
        found: Any = described.document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


async def test_every_schema_is_used(described: Described) -> None:
    used = set(references(described.document))
    named = {f"#/components/schemas/{name}" for name in described.document["components"]["schemas"]}
    assert named <= used


async def test_every_operation_behind_the_door_may_be_refused_there(described: Described) -> None:
    """But for the probes, which ask for no key."""
    without = [
        name for name, one in operations(described.document) if "401" not in one["responses"]
    ]
    assert without == ["GET /healthz", "GET /readyz"]


async def test_the_description_is_for_those_who_may_come_in(described: Described) -> None:
    client = described.estate.gateway.client
    refused = await client.get("/openapi.json")
    assert refused.status == 401
    answer = await client.get("/openapi.json", headers=headers("vic"))
    assert answer.status == 200
    assert answer.content_type == "application/json"


async def test_names_of_schemas_are_words(described: Described) -> None:
    names = described.document["components"]["schemas"]
    assert [name for name in names if not name.isidentifier()] == []
