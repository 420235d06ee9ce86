"""Small pictures that a worker's probe has taken of what nodes handed on.

Whose they are is the caller's to check: a picture is known by its worker and an id that nobody can
guess, and that only the job's own node runs have.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import aiohttp
import structlog
from aiohttp import hdrs
from yarl import URL

from gateway.agents import Agents

log = structlog.get_logger()

#: a page waits for this answer
_PATIENCE: Final = aiohttp.ClientTimeout(total=5.0)
#: Probes make pictures of 10 to 20 kB; with the largest setting not a hundred times that.
_MOST_BYTES: Final = 2 * 2**20


async def capture(agents: Agents, worker_id: str, picture: str) -> bytes | None:
    """A JPEG; None: it is not kept any more, or its host does not answer."""
    worker = next((one for one in await agents.ready() if one.id == worker_id), None)
    agent = agents.pool.agents.get(worker.agent) if worker is not None else None
    if worker is None or agent is None:
        return None
    path = f"/v1/workers/{quote(worker.id, safe='')}/capture/{quote(picture, safe='')}"
    try:
        async with agents.session.get(
            URL(agent.url.rstrip("/") + path, encoded=True),
            headers={**agents.headers, hdrs.ACCEPT_ENCODING: "identity"},
            timeout=_PATIENCE,
            allow_redirects=False,
        ) as answer:
            if answer.status != 200 or answer.content_type != "image/jpeg":
                return None
            body = await answer.content.read(_MOST_BYTES + 1)
            while len(body) <= _MOST_BYTES and (more := await answer.content.readany()):
                body += more
            return body if len(body) <= _MOST_BYTES else None
    except (aiohttp.ClientError, TimeoutError) as error:
        log.info("capture_failed", worker=worker_id, error=type(error).__name__)
        return None
