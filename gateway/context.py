"""What every handler finds on its request: who asks, and the gateway's services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from aiohttp import web

from config.settings import Role, Settings
from gateway.ports import Archive, Documents, InputFiles
from scheduler.ledger import Ledger

if TYPE_CHECKING:
    from gateway.agents import Agents
    from gateway.answers import Answers
    from gateway.blobs import Blobs
    from gateway.exchange import Exchange
    from gateway.hub import Hub
    from gateway.info import WorkerInfo
    from gateway.learned import Learned
    from gateway.mates import Mates
    from gateway.near_files import NearFiles
    from gateway.peers import Peers
    from gateway.pool_count import PoolCount
    from gateway.roster import Rosters
    from gateway.standings import Standings


class Credential(StrEnum):
    """How a request said who it is."""

    HEADER = "header"
    BASIC = "basic"
    COOKIE = "cookie"
    TOKEN = "token"  # noqa: S105
    URL = "url"
    #: a socket that brings none, after its client has shown a key elsewhere
    TICKET = "ticket"
    PROXY = "proxy"
    PORT = "port"
    NETWORK = "network"
    OPEN = "open"
    #: the metrics token, which is nobody's
    METRICS = "metrics"

    @property
    def place(self) -> bool:
        """True where it is by the place alone: a name bound to our address would do."""
        return self in (Credential.PORT, Credential.NETWORK)

    @property
    def ambient(self) -> bool:
        """True where a browser sends it by itself, so that cross-site rules apply."""
        return self in _AMBIENT


_AMBIENT: Final = frozenset(
    {
        Credential.COOKIE,
        Credential.BASIC,  # browsers repeat it like a cookie
        Credential.PROXY,
        Credential.PORT,
        Credential.NETWORK,
        Credential.OPEN,
    }
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. Made by the auth middleware, never from a client's word."""

    user: str
    group: str
    role: Role
    credential: Credential
    #: digest of the key that was shown, or the place; empty where none is asked for
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything handlers work with; built once by ``gateway.app.make_services``."""

    #: the settings now in force (they change while running)
    settings: Callable[[], Settings]
    ledger: Ledger
    archive: Archive
    documents: Documents
    input_files: InputFiles
    blobs: Blobs
    peers: Peers
    agents: Agents
    near: NearFiles
    info: WorkerInfo
    hub: Hub
    answers: Answers
    rosters: Rosters
    standings: Standings
    pool_count: PoolCount
    learned: Learned
    exchange: Exchange
    mates: Mates
    #: seconds since the epoch; injected so that tests own the clock
    clock: Callable[[], float]
    #: a fresh lowercase uuid4
    new_id: Callable[[], str]


SERVICES: Final[web.AppKey[Services]] = web.AppKey("services", Services)
_IDENTITY: Final[web.RequestKey[Identity]] = web.RequestKey("identity", Identity)


def identity(request: web.Request) -> Identity:
    """Who asks; every route but the public ones has been through the auth middleware."""
    return request[_IDENTITY]


def has_identity(request: web.Request) -> bool:
    """Whether the auth middleware has been here already (a request of a personal URL)."""
    return _IDENTITY in request


def set_identity(request: web.Request, who: Identity) -> None:
    """Called by the auth middleware alone."""
    request[_IDENTITY] = who


def services(request: web.Request) -> Services:
    """The gateway's services."""
    return request.app[SERVICES]
