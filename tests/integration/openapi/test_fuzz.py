"""Requests made from the description: whatever comes, the answer is one that it names.

Sent by bob, who guesses ann's ids at times: nothing of hers may come back or change.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from zlib import crc32

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.openapi.operation import MAY_BE_EMPTY
from tests.integration.gateway_info.conftest import png
from tests.integration.openapi.conftest import Described
from tests.isolation.estate import ACTORS, NAME, SECRET, USERS, Estate, headers
from tests.isolation.rows import Try, rows

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
KEYS = [user["key"] for user in USERS]
#: requests to each route
FEW, MANY = 2, 10
#: seconds for one answer
PATIENCE_S = 30


MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
async def test_a_few_requests_to_every_route_are_answered_as_described(
    described: Described, mode: GenerationMode
) -> None:
    await fuzz(described, mode, FEW)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", MODES)
async def test_many_requests_to_every_route_are_answered_as_described(
    described: Described, mode: GenerationMode
) -> None:
    await fuzz(described, mode, MANY)


async def test_what_clients_ask_is_answered_as_described(described: Described) -> None:
    """The isolation suite's requests, as each of its actors."""
    url = str(described.estate.gateway.client.make_url("")).rstrip("/")
    loaded = schemathesis.openapi.from_dict(described.document, config=config())
    wrong: list[str] = []
    for actor in ("ann", *ACTORS):
        for (method, path), tries in rows(described.estate).items():
            if path not in described.document["paths"]:
                continue
            operation = loaded[path][method]
            for one in tries:
                try:
                    answer = await asyncio.to_thread(send, method, url, one, actor)
                    validate(operation.Case(path_parameters=filled(path)), answer)
                except (FailureGroup, AssertionError) as error:
                    wrong.append(f"{actor} {method} {one.path}: {error}")
    assert wrong == [], "\n\n".join(wrong)


def filled(path: str) -> dict[str, str]:
    """Any values: the checks ask for some, and do not look at them."""
    return dict.fromkeys(re.findall(r"{(\w+)}", path), "x")


def send(method: str, url: str, one: Try, actor: str) -> requests.Response:
    form: dict[str, Any] = {}
    if one.form is not None:
        form = {"data": one.form, "files": {"image": (f"{NAME}.png", png((9, 9, 9)))}}
    elif one.json is not None:
        form = {"json": one.json}
    elif one.body is not None:
        form = {"data": one.body}
    return requests.request(
        method,
        url + one.path,
        headers=headers(actor) | one.more,
        timeout=PATIENCE_S,
        allow_redirects=False,
        **form,
    )


def validate(case: Any, answer: Any) -> None:
    case.validate_response(answer, checks=CHECKS if answer.content else CHECKS[:2])
    empty_is_fine = may_be_empty(case.operation, answer.status_code)
    assert answer.content or empty_is_fine, f"{answer.status_code} is empty"


async def fuzz(described: Described, mode: GenerationMode, examples: int) -> None:
    estate = described.estate
    before = await estate.inventory()
    url = str(estate.gateway.client.make_url("")).rstrip("/")
    loaded = schemathesis.openapi.from_dict(described.document, config=config())
    wrong: list[str] = []
    for found in loaded.get_all_operations():
        operation = found.ok()
        assert operation is not None, found
        if mode is GenerationMode.NEGATIVE and not takes_anything(operation):
            continue
        check = checker(operation, mode, estate, url, examples)
        try:
            await asyncio.to_thread(check)
        except (FailureGroup, AssertionError) as error:
            wrong.append(f"{operation.label}: {error}")
        except Unsatisfiable:
            # any bytes, or any JSON, are right there
            assert mode is GenerationMode.NEGATIVE, operation.label
    assert wrong == [], "\n\n".join(wrong)
    assert await estate.inventory() == before


def takes_anything(operation: Any) -> bool:
    """Whether there is more than a path, of which every text is one."""
    raw = operation.definition.raw
    return "requestBody" in raw or any(one["in"] == "query" for one in raw.get("parameters", ()))


def config() -> SchemathesisConfig:
    """The credential is the test's to show."""
    return SchemathesisConfig(
        projects=ProjectsConfig(
            default=ProjectConfig(generation=GenerationConfig(with_security_parameters=False))
        )
    )


def may_be_empty(operation: Any, status: int) -> bool:
    response = operation.definition.raw["responses"][str(status)]
    if "$ref" in response:
        return False
    content = response.get("content")
    return not content or "*/*" in content or response.get(MAY_BE_EMPTY, False)


def checker(operation: Any, mode: GenerationMode, estate: Estate, url: str, examples: int) -> Any:
    """The same requests at every run."""
    guesses = ["", estate.queued, estate.running, estate.ended, f"{NAME}.png", f"vg%2Fann%2F{NAME}"]
    session = requests.Session()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        parts = case.path_parameters or {}
        guess = guesses[crc32(str(parts).encode()) % len(guesses)]
        if guess and parts:
            parts[sorted(parts)[-1]] = guess
        answer = case.call(
            base_url=url,
            session=session,
            headers=headers("bob"),
            timeout=PATIENCE_S,
            allow_redirects=False,
        )
        validate(case, answer)
        told = answer.content + str(dict(answer.headers)).encode()
        for secret in (SECRET, *KEYS):
            assert secret.encode() not in told, (case.as_curl_command(), secret)

    return check
