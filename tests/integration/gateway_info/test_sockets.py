"""When sockets are closed from this side: the gateway stops, or the key they came with ends."""

from __future__ import annotations

import json

import aiohttp
from aiohttp import WSCloseCode, WSMsgType

from config.settings import Settings
from gateway.keys import hash_key
from tests.integration.gateway_info.conftest import ANN, BOB, KEYS, USERS, Gateway
from tests.integration.gateway_info.test_auth import log_in

Socket = aiohttp.ClientWebSocketResponse


async def is_open(socket: Socket) -> bool:
    """Whether a question is still answered; each socket may be asked once."""
    await socket.send_json({"type": "feature_flags", "data": {}})
    async for message in socket:
        if message.type is WSMsgType.TEXT and json.loads(message.data)["type"] == "feature_flags":
            return True
    return False


async def closing(socket: Socket) -> int | None:
    """Wait until the gateway closes it: the code it gives."""
    while True:
        message = await socket.receive(timeout=30)
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING):
            return socket.close_code


async def test_stopping_says_goodbye_to_open_sockets_first(gateway: Gateway) -> None:
    app = gateway.client.app
    assert app is not None
    async with gateway.client.ws_connect("/ws", headers=ANN) as socket:
        await socket.receive_json(timeout=30)
        await app.shutdown()
        assert await closing(socket) == WSCloseCode.GOING_AWAY


class TestRevocation:
    async def test_only_sockets_of_the_key_that_ended_are_closed(self, gateway: Gateway) -> None:
        connect = gateway.client.ws_connect
        cookie = {"Cookie": f"vramgate_session={await log_in(gateway)}"}
        async with (
            connect("/ws", headers=ANN) as by_key,
            connect("/ws?token=key-of-ann-01") as by_token,
            connect("/ws", headers=cookie) as by_cookie,
            connect("/k/url-of-ann-01/ws") as by_url,
            connect("/ws", headers=BOB) as bobs,
        ):
            fresh = json.dumps(hash_key("fresh-key-01"))
            await gateway.ledger.override({"users.ann.key_hash": fresh})
            for socket in (by_key, by_token, by_cookie):
                assert await closing(socket) == WSCloseCode.GOING_AWAY
            assert await is_open(by_url)
            assert await is_open(bobs)

    async def test_a_revoked_user_has_none_left(self, gateway: Gateway) -> None:
        connect = gateway.client.ws_connect
        async with connect("/ws", headers=ANN) as one, connect("/k/url-of-ann-01/ws") as other:
            await gateway.ledger.override({"users.ann.revoked": "true"})
            await closing(one)
            await closing(other)

    async def test_so_it_is_when_the_file_changes(self, gateway: Gateway) -> None:
        connect = gateway.client.ws_connect
        async with connect("/ws", headers=ANN) as anns, connect("/ws", headers=BOB) as bobs:
            others = [user for user in USERS if user["name"] != "ann"]
            gateway.config[0] = Settings.model_validate({**KEYS, "users": others})
            await closing(anns)
            assert await is_open(bobs)
