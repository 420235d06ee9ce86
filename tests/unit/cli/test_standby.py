"""Several gateways on one port, and connections that one of them leaves waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cli.errors import CliError
from cli.listening import listen, listen_shared
from cli.services import gateway_names
from cli.standby import Standby


@pytest.fixture
def servers() -> Iterator[list[socket.socket]]:
    opened = listen_shared("127.0.0.1", 0, 3)
    with ExitStack() as stack:
        for server in opened:
            stack.enter_context(server)
        yield opened


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def connect(port: int, count: int, stack: ExitStack) -> list[socket.socket]:
    return [
        stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(count)
    ]


def test_the_sockets_of_several_gateways_share_a_port_and_its_connections(
    servers: list[socket.socket],
) -> None:
    assert len({port_of(server) for server in servers}) == 1
    with ExitStack() as stack:
        connect(port_of(servers[0]), 60, stack)
        for server in servers:
            server.setblocking(False)
            server.accept()[0].close()  # BlockingIOError: the kernel gave it nothing


@pytest.mark.parametrize("count", [1, 2])
def test_a_shared_port_is_in_use_for_everybody_else(
    servers: list[socket.socket], count: int
) -> None:
    with pytest.raises(CliError, match="is in use"):
        listen_shared("127.0.0.1", port_of(servers[0]), count)
    with pytest.raises(CliError, match="is in use"):
        listen("127.0.0.1", port_of(servers[0]))


def test_several_gateways_do_not_join_a_port_that_somebody_has() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(CliError, match="is in use"):
        listen_shared("127.0.0.1", port_of(taken), 2)


def test_one_gateway_keeps_its_name() -> None:
    assert gateway_names(1) == ["gateway"]
    assert gateway_names(2) == ["gateway-1", "gateway-2"]


class Hello(asyncio.Protocol):
    """Says hello and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


async def test_what_waited_for_two_looks_is_taken_sooner_is_not() -> None:
    with listen("127.0.0.1", 0) as server, ExitStack() as stack:
        standby = Standby([server], Hello)
        await standby.look()
        clients = connect(port_of(server), 100, stack)
        await standby.look()
        assert await asyncio.to_thread(silent, clients[0])
        await standby.look()
        await standby.look()  # so many are taken at a look, and no more
        for client in clients:
            assert await asyncio.to_thread(client.recv, 10) == b"hello"


async def test_what_a_working_gateway_has_accepted_is_not_waited_for() -> None:
    with listen("127.0.0.1", 0) as server, ExitStack() as stack:
        standby = Standby([server], Hello)
        connect(port_of(server), 1, stack)
        await standby.look()
        stack.enter_context(server.accept()[0])
        await standby.look()
        (late,) = connect(port_of(server), 1, stack)
        await standby.look()
        assert await asyncio.to_thread(silent, late)


def silent(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(30)
    return False
