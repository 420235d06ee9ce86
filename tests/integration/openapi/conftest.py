"""A described gateway with something of ann's in every store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from dashboard.description import describe
from dashboard.metrics.description import describe as describe_metrics
from tests.integration.gateway_info.conftest import Start
from tests.integration.gateway_info.conftest import agent as agent
from tests.integration.gateway_info.conftest import start as start
from tests.isolation.estate import SETTINGS, Estate, headers, settle
from tests.isolation.kept import Pages
from tests.isolation.kept import pages as pages

#: what the workers say beside their nodes
_TOLD: dict[str, Any] = {
    "models": ["checkpoints", "loras"],
    "models/checkpoints": ["sd15.safetensors"],
    "embeddings": ["easy"],
    "experiment/models": [{"name": "checkpoints", "folders": ["/srv/models"]}],
    "experiment/models/checkpoints": [
        {"name": "sd15.safetensors", "pathIndex": 0, "modified": 1.5, "created": 1.5, "size": 4}
    ],
    "system_stats": {"system": {"os": "posix", "ram_total": 9, "ram_free": 4}, "devices": []},
    "api/etn/languages": [{"name": "German", "code": "de"}],
    "api/etn/translate/de/x": "x",
    "view_metadata/checkpoints": {"modelspec.title": "SD 1.5"},
    "workflow_templates": {"pack": ["one"]},
}


@dataclass(frozen=True)
class Described:
    """A gateway and what it says of itself."""

    estate: Estate
    document: dict[str, Any]


@pytest.fixture
async def described(start: Start, pages: Pages) -> Described:
    parts = {"/dashboard": describe(), "/metrics": describe_metrics()}
    gateway = await start(SETTINGS, workers=2, extra=pages, described=parts)
    gateway.agent.routes.update(_TOLD)
    estate = await settle(gateway)
    answer = await estate.gateway.client.get("/openapi.json", headers=headers("bob"))
    assert answer.status == 200
    return Described(estate, json.loads(await answer.read()))
