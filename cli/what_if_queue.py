"""Puts questions of what would have been into the queue that ``vramgate jobs`` works off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from cli.boot import redis_url
from cli.jobs import QUEUE
from cli.options import Ground

_TIMEOUT_S: Final = 900
_RESULT_KEPT_S: Final = 60
_CONNECT_S: Final = 5


def asking(ground: Ground) -> Callable[[str], Awaitable[None]]:
    """A function that puts one into the queue.

    It raises OSError where the queue's server does not answer, or is none that can.
    """
    settings = ground.source.current()
    url = settings.jobs.redis_url or redis_url(settings, ground.data_dir)

    def enqueue(id_: str) -> None:
        import redis
        from rq import Queue

        if url.startswith(("redis+cluster://", "redis+sentinel://")):
            raise OSError("jobs.redis_url names no plain Redis")
        connection = redis.Redis.from_url(url, socket_timeout=_CONNECT_S)
        try:
            Queue(QUEUE, connection=connection, serializer="json").enqueue(
                "cli.chores.play",
                args=(id_,),
                job_id=f"what-if-{id_}",
                job_timeout=_TIMEOUT_S,
                result_ttl=_RESULT_KEPT_S,
            )
        except redis.RedisError as error:
            raise OSError(type(error).__name__) from error
        finally:
            connection.close()

    async def ask(id_: str) -> None:
        await asyncio.to_thread(enqueue, id_)

    return ask
