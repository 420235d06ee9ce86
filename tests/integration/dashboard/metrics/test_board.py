"""The Grafana board asks for what there is, in words that Prometheus understands.

No Grafana is started: there is none to install in Debian. What it would do with the board is
done by the server behind it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.integration.dashboard.metrics.conftest import (
    Scraped,
    check,
    free_port,
    installed,
    work,
)

DEPLOY = Path(__file__).parents[4] / "deploy"
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "vramgate.json").read_text())
#: what Grafana puts in the place of its variables
PUT = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$pool": ".*",
    "$gpu": ".*",
}
PATIENCE_S = 90


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def filled(query: str) -> str:
    for name, text in PUT.items():
        query = query.replace(name, text)
    assert "$" not in query, query
    return query


def queries() -> Iterator[tuple[str, str]]:
    """Title and query, in Prometheus' own words."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], filled(target["expr"])
    for note in BOARD["annotations"]["list"]:
        yield note["name"], filled(note["expr"])
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert found is not None
            yield variable["name"], filled(f"count by ({found[2]}) ({found[1]})")


def test_every_panel_has_a_title_a_unit_and_a_place_of_its_own() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_gaps_are_drawn_as_gaps() -> None:
    for panel in panels():
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False


def test_what_is_provisioned_is_there() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    for file in folder.rglob("*.yaml"):
        assert yaml.safe_load(file.read_text())["apiVersion"] == 1
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"


async def test_every_metric_that_the_board_names_is_told(scraped: Scraped) -> None:
    text = await scraped.text()
    told = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        told |= (
            {f"{name}{end}" for end in ("_bucket", "_sum", "_count")}
            if kind == "histogram"
            else {name}
        )
    asked = {
        name for _, query in queries() for name in re.findall(r"\b(?:vramgate|process)_\w+", query)
    }
    assert asked - told == set()
    assert len(asked) > 40


@pytest.mark.monitoring
def test_the_parser_of_prometheus_takes_every_query(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"board:q{n}", "expr": query, "labels": {"n": str(n)}}
        for n, (_, query) in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    assert f"{len(rules)} rules found" in check(promtool, "check", "rules", str(file))


@pytest.mark.monitoring
def test_the_example_for_prometheus_is_valid(promtool: str, tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    token = tmp_path / "token"
    token.write_text("x")
    file = tmp_path / "prometheus.yml"
    file.write_text(text.replace("/etc/prometheus/vramgate.token", str(token)))
    assert "SUCCESS" in check(promtool, "check", "config", str(file))


class Prometheus:
    """A real one, that scrapes a page of ours each 200 ms."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def query(self, query: str) -> list[dict[str, Any]]:
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            told = await answer.json()
        assert told["status"] == "success", (query, told)
        result: list[dict[str, Any]] = told["data"]["result"]
        return result


@pytest.fixture
async def prometheus(scraped: Scraped, tmp_path: Path) -> AsyncIterator[Prometheus]:
    port = free_port()
    server = scraped.client.server
    job = {
        "job_name": "vramgate",
        "scrape_interval": "200ms",
        "scrape_timeout": "200ms",
        "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}],
    }
    (tmp_path / "p.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
    words = [
        installed("prometheus", "prometheus"),
        f"--config.file={tmp_path / 'p.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(  # noqa: ASYNC220
            words, stdout=log, stderr=log, env=os.environ | {"GOMAXPROCS": "1"}
        )
    made = Prometheus(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                assert running.poll() is None, (tmp_path / "log").read_text()
                try:
                    if len(await made.query("count_over_time(vramgate_gpu_up[1m]) > 2")):
                        break
                except (aiohttp.ClientError, AssertionError):
                    pass  # it does not answer yet, or is not ready to
                await asyncio.sleep(0.1)
        yield made
    finally:
        running.terminate()
        running.wait(20)


@pytest.mark.monitoring
async def test_a_real_prometheus_has_an_answer_for_every_panel(
    scraped: Scraped, prometheus: Prometheus
) -> None:
    await work(scraped)
    await scraped.record()
    scraped.now[0] += 2
    async with asyncio.timeout(PATIENCE_S):
        while not (found := await prometheus.query("sum(vramgate_jobs_ended_total)")):
            await asyncio.sleep(0.1)
    assert found[0]["value"][1] == "2"
    shown = {title: await prometheus.query(query) for title, query in queries()}
    assert shown["Queued"][0]["value"][1] == "2"
    assert shown["Running"][0]["value"][1] == "1"
    assert shown["GPUs down"][0]["value"][1] == "0"
    memory = shown["Memory of $gpu"]
    assert sum(int(one["value"][1]) for one in memory) == 24 * 2**30
