"""The rule file for Prometheus speaks of what ``/metrics`` tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from config.alert_rules import rules_of
from config.settings import Settings
from dashboard.alerts.prometheus import rule_file
from tests.integration.dashboard.metrics.conftest import Scraped, check

SETTINGS = Settings()
TEXT = rule_file(rules_of(SETTINGS.alerts), SETTINGS)


@pytest.mark.monitoring
def test_promtool_takes_the_rule_file(promtool: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(TEXT)
    check(promtool, "check", "rules", str(file))


async def test_every_metric_that_a_rule_names_is_told(scraped: Scraped) -> None:
    told = set(re.findall(r"^# TYPE (\w+) ", await scraped.text(), re.MULTILINE))
    (group,) = yaml.safe_load(TEXT)["groups"]
    asked = {name for one in group["rules"] for name in re.findall(r"vramgate_\w+", one["expr"])}
    assert asked - told == set()
    assert "vramgate_gpu_temperature_celsius" in asked
