"""Who a request is by where it comes from: a personal port, a network, or a trusted proxy's word.

All three are ambient: whatever arrives that way is that user, a browser's foreign pages
included, so the rules for browsers hold as for cookies. A shown key outranks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.loading import name_problem
from config.overrides import locked_out, people
from config.settings import Role, Settings, User
from gateway.source import IpAddress, IpNetwork, parse_networks

_PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Known:
    """A user known by place; ``stamp`` names what makes it known, and ends with it."""

    user: str
    group: str
    role: Role
    stamp: str


class Ambient:
    """Places and names under one revision of settings and overrides.

    Args:
        settings: with users of the config file, or with the overrides' applied already.
        overrides: dotted path → JSON text.
    """

    def __init__(self, settings: Settings, overrides: Mapping[str, str]) -> None:
        self._auth = settings.auth
        self._locked_out = locked_out(overrides)
        found = people(settings.users, overrides)
        self._users = {name: one.user for name, one in found.items() if not one.revoked}
        self._by_port = _only(self._ports())
        self._networks = list(self._all_networks())

    def at_port(self, port: int) -> Known | None:
        """Whose personal port this is."""
        name = self._by_port.get(port)
        return None if name is None else _known(self._users[name], f"port:{port}")

    def at_address(self, address: IpAddress | None) -> Known | None:
        """Whose network an address lies in; where it lies in those of two, nobody's."""
        if address is None:
            return None
        found = [(user, network) for user, network in self._networks if address in network]
        if len({user.name for user, _ in found}) != 1:
            return None
        user, network = found[0]
        return _known(user, f"network:{network}")

    def named(self, name: str) -> Known | None:
        """The user that a trusted proxy names; None: nobody here, or locked out."""
        user = self._users.get(name)
        if user is not None:
            return _known(user, _PROXY)
        if (
            not self._auth.proxy_create
            or name in self._locked_out
            or name_problem(name) is not None
        ):
            return None
        return _known(User(name=name), _PROXY)

    def holds(self, user: str, stamp: str) -> bool:
        """Whether the user would still be known by this stamp."""
        kind, _, where = stamp.partition(":")
        match kind:
            case "port":
                return self._by_port.get(int(where)) == user
            case "network":
                return any(one.name == user and str(net) == where for one, net in self._networks)
            case _:
                told = self._auth.proxy_header is not None and stamp == _PROXY
                return told and self.named(user) is not None

    def _ports(self) -> Iterator[tuple[int, str]]:
        return ((one.port, one.name) for one in self._users.values() if one.port is not None)

    def _all_networks(self) -> Iterator[tuple[User, IpNetwork]]:
        for user in self._users.values():
            yield from ((user, network) for network in parse_networks(user.networks))


def _only(pairs: Iterator[tuple[int, str]]) -> dict[int, str]:
    """By port; one that two users claim (an override may) is nobody's."""
    found: dict[int, str] = {}
    twice: set[int] = set()
    for port, name in pairs:
        if port in found:
            twice.add(port)
        found[port] = name
    return {port: name for port, name in found.items() if port not in twice}


def _known(user: User, stamp: str) -> Known:
    return Known(user.name, user.group, user.role, stamp)
