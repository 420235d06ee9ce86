"""What no single field can know: settings that do not go together, or let in too many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from config.alert_rules import problems_of
from config.environment import Draft
from config.problems import Problem
from config.settings import AuthMode, Frontend, Role, Settings, User
from config.yaml_lines import Path as Place
from config.yaml_lines import dotted

_KEY_HASH: Final = re.compile(r"blake2b:[0-9a-fA-F]{64}")
#: headers that clients need for themselves
_NO_PROXY_HEADERS: Final = frozenset(
    {"authorization", "cookie", "host", "origin", "x-api-key", "comfy-user"}
)
_Found = Iterator[tuple[Place, str]]


def check(settings: Settings, draft: Draft) -> list[Problem]:
    """All of it, each with the line that it is about."""
    parts = (
        _open,
        _tls,
        _metrics,
        _frontend,
        _hashes,
        _ports,
        _networks,
        _places,
        _proxies,
        _alerts,
    )
    found = [one for part in parts for one in part(settings)]
    return [Problem(draft.origin(place), dotted(place), message) for place, message in found]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on this address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _open(settings: Settings) -> _Found:
    host = settings.gateway.host
    if settings.auth.mode is AuthMode.OPEN and not is_loopback(host):
        yield (
            ("gateway", "host"),
            f"`auth.mode: open` lets in whoever reaches {host}: listen on 127.0.0.1, or set "
            "`auth.mode: keys` and add users with `vramgate users add NAME`",
        )


def _tls(settings: Settings) -> _Found:
    agent, cluster = settings.agent, settings.cluster
    if agent.tls_key is not None and agent.tls_cert is None:
        yield ("agent", "tls_key"), "belongs to agent.tls_cert, which is not set"
    for place, path in (
        (("agent", "tls_cert"), agent.tls_cert),
        (("agent", "tls_key"), agent.tls_key),
        (("cluster", "ca"), cluster.ca),
    ):
        if path is not None and not path.is_file():
            yield place, f"{path}: there is no such file"


def _metrics(settings: Settings) -> _Found:
    metrics = settings.metrics
    if not is_loopback(metrics.host) and not metrics.has_token:
        yield ("metrics", "host"), "others reach that address: set metrics.token_file, too"
    influx = settings.sinks.influx
    for place, path in (
        (("metrics", "token_file"), metrics.token_file),
        (("sinks", "influx", "token_file"), influx.token_file),
        (("sinks", "influx", "password_file"), influx.password_file),
    ):
        if path is not None and not path.is_file():
            yield place, f"{path}: there is no such file"


def _frontend(settings: Settings) -> _Found:
    gateway = settings.gateway
    if gateway.frontend_root is not None and gateway.frontend is Frontend.WORKER:
        message = "`gateway.frontend: worker` never shows it: leave one of the two out"
        yield ("gateway", "frontend_root"), message


def _hashes(settings: Settings) -> _Found:
    for at, user in enumerate(settings.users):
        for name in ("key_hash", "url_key_hash"):
            value = getattr(user, name)
            if value is not None and not _KEY_HASH.fullmatch(value.strip()):
                message = "no key hash; `vramgate users hash` makes one from a key"
                yield ("users", at, name), message


def _ports(settings: Settings) -> _Found:
    taken = {settings.gateway.port: "the gateway's own"}
    for at, user in enumerate(settings.users):
        if user.port is None:
            continue
        if user.port in taken:
            yield ("users", at, "port"), f"{user.port} is {taken[user.port]}; choose another"
        taken[user.port] = f"the port of {user.name}"


def _networks(settings: Settings) -> _Found:
    proxies = [ip_network(text) for text in settings.gateway.trusted_proxies]
    owners: list[tuple[User, IPv4Network | IPv6Network]] = []
    for at, user in enumerate(settings.users):
        place = ("users", at, "networks")
        for network in map(ip_network, user.networks):
            for other, theirs in owners:
                if other is not user and _overlap(network, theirs):
                    yield place, f"{network} overlaps {theirs} of {other.name}; who would it be?"
            if any(_overlap(network, proxy) for proxy in proxies):
                yield (
                    place,
                    f"{network} holds a trusted proxy: everybody behind it would be {user.name}",
                )
            owners.append((user, network))


def _places(settings: Settings) -> _Found:
    """What is wrong with knowing this user by place at all."""
    for at, user in enumerate(settings.users):
        for name in ("port", "networks"):
            if not getattr(user, name):
                continue
            place = ("users", at, name)
            if settings.auth.mode is AuthMode.OPEN:
                yield place, "means nothing with `auth.mode: open`; set `auth.mode: keys`"
            if user.role is Role.ADMIN:
                yield (
                    place,
                    "whoever comes from there would be an admin; admins show a key (let another "
                    "user have it)",
                )


def _proxies(settings: Settings) -> _Found:
    auth, trusted = settings.auth, settings.gateway.trusted_proxies
    if any(ip_network(text).prefixlen == 0 for text in trusted):
        yield ("gateway", "trusted_proxies"), "would believe everybody; name the proxy's address"
    if auth.proxy_create and auth.proxy_header is None:
        yield ("auth", "proxy_create"), "needs auth.proxy_header, which names the user"
    if auth.proxy_header is None:
        return
    place = ("auth", "proxy_header")
    if not trusted:
        yield place, "needs gateway.trusted_proxies: anybody can send a header"
    if auth.mode is AuthMode.OPEN:
        yield place, "means nothing with `auth.mode: open`; set `auth.mode: keys`"
    if auth.proxy_header.lower() in _NO_PROXY_HEADERS:
        yield place, "is a header that clients send themselves; use for example X-Forwarded-User"


def _alerts(settings: Settings) -> _Found:
    alerts = settings.alerts
    for at, key, message in problems_of(alerts):
        yield ("alerts", "rules", at, key), message
    if alerts.mails and alerts.smtp.host is None:
        yield ("alerts", "mails"), "needs alerts.smtp.host, the server that takes e-mails"
    names = [hook.name for hook in alerts.webhooks] + [mail.name for mail in alerts.mails]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield ("alerts",), f"two of webhooks and mails are called {name}"


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)
