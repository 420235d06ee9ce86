"""Rules of a file: limits in words, changes of rules, new ones; what is wrong is told with its place."""

from __future__ import annotations

from typing import Any

import pytest

from config.alert_rules import BUILT_IN, problems_of, rules_of
from config.alerts import Alerts, RuleKind
from config.settings import Settings


def alerts(*rules: dict[str, Any]) -> Alerts:
    return Settings.model_validate({"alerts": {"rules": list(rules)}}).alerts


@pytest.mark.parametrize(
    ("text", "value"),
    [("5s", 5.0), ("10m", 600.0), ("7.5%", 0.075), ("85", 85.0), (85, 85.0), ("2GiB", 2.0 * 2**30)],
)
def test_limits_are_written_as_people_say_them(text: Any, value: float) -> None:
    (rule,) = alerts({"name": "slow_node", "limit": text}).rules
    assert rule.limit == pytest.approx(value)


def test_words_that_are_no_limit_are_refused() -> None:
    with pytest.raises(ValueError, match="no limit"):
        alerts({"name": "slow_node", "limit": "fast"})


def test_a_change_keeps_what_it_does_not_name() -> None:
    rules = {rule.name: rule for rule in rules_of(alerts({"name": "hot_gpu", "limit": 80}))}
    assert list(rules) == list(BUILT_IN)
    hot = rules["hot_gpu"]
    assert (hot.limit, hot.clear, hot.lasts) == (80.0, None, BUILT_IN["hot_gpu"].lasts)


def test_a_new_rule_has_the_figures_of_its_kind() -> None:
    wanted = alerts(
        {"name": "film", "kind": "wait", "limit": "2m", "groups": ["film"], "labels": ["t=f"]}
    )
    film = rules_of(wanted)[-1]
    assert (film.name, film.kind, film.limit, film.lasts) == ("film", RuleKind.WAIT, 120.0, 10.0)
    assert film.labels == (("t", "f"),)
    assert film.concerns("user:ann", "ann", "film")
    assert not film.concerns("user:bob", "bob", "design")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"name": "slow_nodes", "limit": 5}], "needs a `kind`"),
        ([{"name": "slow_node", "kind": "wait"}], "looks at `node`"),
        ([{"name": "hot_gpu"}, {"name": "hot_gpu"}], "twice"),
        ([{"name": "hot_gpu", "clear": 95}], "same side"),
        ([{"name": "low_headroom", "clear": "1%"}], "same side"),
    ],
)
def test_what_is_wrong_with_rules_is_told(rules: list[dict[str, Any]], words: str) -> None:
    assert any(words in message for _, _, message in problems_of(alerts(*rules)))


def test_all_rules_that_are_built_in_are_right() -> None:
    assert list(problems_of(Alerts())) == []
    assert {rule.kind for rule in BUILT_IN.values()} == set(RuleKind)


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhooks": [{"name": "a", "url": "https://h/"}]},
        {"webhooks": [{"name": "a", "url": "https://h/", "secret": "short"}]},
        {"mails": [{"name": "a", "to": ["no address"]}]},
        {"mails": [{"name": "a", "to": []}]},
        {"rules": [{"name": "x", "kind": "wait", "labels": ["no-pair"]}]},
    ],
)
def test_receivers_and_labels_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="alerts"):
        Settings.model_validate({"alerts": wrong})
