"""A ledger whose server is reached over TLS: a door with a certificate before a real one."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scheduler.ledger import LedgerUnavailable
from scheduler.redis_ledger import RedisLedger
from tests.factories import new_job
from tests.integration.worker_agent.test_upkeep import certificate

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificate with openssl"
)


@asynccontextmanager
async def door(url: str, cert: Path, key: Path) -> AsyncIterator[int]:
    """The port of a TLS server that hands everything on to the plain one at ``url``."""
    plain = urlsplit(url)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    async def open_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if plain.scheme == "unix":
            beyond = await asyncio.open_unix_connection(plain.path)
        else:
            beyond = await asyncio.open_connection(plain.hostname, plain.port)
        await asyncio.gather(pump(reader, beyond[1]), pump(beyond[0], writer))

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    server = await asyncio.start_server(open_line, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_whoever_trusts_the_certificate_uses_the_ledger_and_nobody_else(
    valkey_url: str, pool_name: str, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path)
    async with door(valkey_url, cert, key) as port:
        trusting = RedisLedger.connect(
            f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={cert}", pool_name
        )
        try:
            job = new_job("ann")
            await trusting.submit(job, b"{}", max_queued=None)
            assert await trusting.find("ann", job.prompt_id) is not None
            assert [event.job for event in await trusting.events("0-0", 10)] == [job.id]
        finally:
            await trusting.close()
        wary = RedisLedger.connect(f"rediss://127.0.0.1:{port}/0", pool_name, patience_s=0.2)
        try:
            with pytest.raises(LedgerUnavailable, match="certificate"):
                await wary.find("ann", job.prompt_id)
        finally:
            await wary.close()
