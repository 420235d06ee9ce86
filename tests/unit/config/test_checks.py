from __future__ import annotations

from pathlib import Path

import pytest

from config.loading import load
from config.problems import ConfigError

KEYS = "auth: {mode: keys}\n"


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "vramgate.yaml"
    file.write_text(text)
    try:
        load(file, environ={})
    except ConfigError as error:
        return [str(one).removeprefix(f"{file}:") for one in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users: [{name: ann, port: 8288}]", "8288 is the gateway's own; choose another"),
        (
            "users:\n - {name: ann, port: 8301}\n - {name: bob, port: 8301}",
            "8301 is the port of ann; choose another",
        ),
        ("users: [{name: ann, port: 70000}]", "less than or equal to 65535"),
        ("users: [{name: ann, role: admin, port: 8301}]", "admins show a key"),
        ("users: [{name: ann, role: admin, networks: [10.0.0.1]}]", "admins show a key"),
        ("users: [{name: ann, networks: [10.0.0.1/8]}]", "has host bits set"),
        ("users: [{name: ann, networks: [studio]}]", "write for example 10.1.2.0/24"),
        (
            "users:\n - {name: ann, networks: [10.0.0.0/8]}\n - {name: bob, networks: [10.1.2.3]}",
            "10.1.2.3/32 overlaps 10.0.0.0/8 of ann; who would it be?",
        ),
        (
            "gateway: {trusted_proxies: [10.0.0.1]}\nusers: [{name: ann, networks: [10.0.0.0/8]}]",
            "everybody behind it would be ann",
        ),
        ("gateway: {trusted_proxies: [0.0.0.0/0]}", "would believe everybody"),
        ("auth: {mode: keys, proxy_header: X-User}", "needs gateway.trusted_proxies"),
        ("auth: {mode: keys, proxy_create: true}", "needs auth.proxy_header"),
        (
            "gateway: {trusted_proxies: ['::1']}\nauth: {mode: keys, proxy_header: Authorization}",
            "clients send themselves",
        ),
        ("auth: {mode: keys, proxy_header: 'X User'}", "proxy_header"),
    ],
)
def test_what_lets_in_too_many_or_the_wrong_ones_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    found = problems(tmp_path, text if "auth:" in text else KEYS + text)
    assert any(said in one for one in found), found
    assert all(one[0].isdigit() for one in found), "each names its line"


@pytest.mark.parametrize(
    "text",
    [
        "users: [{name: ann, port: 8301}]",
        "users: [{name: ann, networks: [10.0.0.1]}]",
        "auth: {proxy_header: X-User}\ngateway: {trusted_proxies: ['::1']}",
    ],
)
def test_with_open_doors_nobody_can_be_told_apart(tmp_path: Path, text: str) -> None:
    (found,) = problems(tmp_path, text)
    assert "means nothing with `auth.mode: open`" in found


def test_what_goes_together_is_taken(tmp_path: Path) -> None:
    text = (
        "auth: {mode: keys, proxy_header: X-Forwarded-User, proxy_create: true}\n"
        "gateway: {trusted_proxies: [127.0.0.1, 'fd00::/8']}\n"
        "users:\n"
        "  - {name: ann, port: 8301, networks: [10.0.0.1, 10.0.0.0/24]}\n"
        "  - {name: bob, port: 8302, networks: [10.0.1.0/24, '2001:db8::/32']}\n"
    )
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics: {host: 0.0.0.0, agent_port: 9101}", "set metrics.token_file, too"),
        ("metrics: {token_file: /no/such/file}", "there is no such file"),
        ("metrics: {token: short}", "at least 16"),
        ("metrics: {token_hash: blake2b:12}", "pattern"),
        ("sinks: {influx: {url: 'http://i:8086'}}", "set either `database`"),
        (
            "sinks: {influx: {url: 'http://i:8086', database: a, bucket: b}}",
            "set either `database`",
        ),
        ("sinks: {influx: {url: influx}}", "pattern"),
        (
            "sinks: {influx: {url: 'http://i', database: d, password_file: /no/such}}",
            "there is no such file",
        ),
        ("sinks: {otel: {endpoint: collector}}", "pattern"),
    ],
)
def test_metrics_and_sinks_that_cannot_work_are_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    found = problems(tmp_path, KEYS + text)
    assert len(found) == 1
    assert said in found[0]
