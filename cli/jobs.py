"""``vramgate jobs``: off-path work on RQ, and the clock that asks for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cli.boot import redis_url, store_url
from cli.errors import CliError
from cli.logs import set_up_logging
from cli.options import ConfigOption, DataDirOption, read_ground

if TYPE_CHECKING:
    from rq import Queue

QUEUE: Final = "vramgate"
#: How often the store is tended.
UPKEEP_S: Final = 3600
_UPKEEP_TIMEOUT_S: Final = 600
_RESULT_KEPT_S: Final = 86400


def jobs(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Work off jobs that no prompt waits for: upkeep of the store and its files.

    Needs a plain Redis (jobs.redis_url where redis.url is a Cluster or names sentinels). Any number may run.

    [bold]Example[/bold]: vramgate jobs --config vramgate.yaml
    """
    ground = read_ground(config, data_dir)
    settings = ground.source.current()
    url = settings.jobs.redis_url or redis_url(settings, ground.data_dir)
    if url.startswith(("redis+cluster://", "redis+sentinel://")):
        raise CliError(
            "RQ does not run on Redis Cluster or by sentinels: set jobs.redis_url to a plain"
            " Redis or Valkey"
        )
    set_up_logging(settings.log, "jobs")
    work(url, store_url(settings, ground.data_dir), str(ground.data_dir / "files"))


def work(url: str, store: str, files_dir: str) -> None:
    """Serve the queue until SIGTERM.

    Raises:
        CliError: the server does not answer.
    """
    import redis
    from rq import Queue, SimpleWorker

    # None: redis-py would give up a blocking read after 5 s; RQ sets a time-out of its own
    connection = redis.Redis.from_url(url, socket_timeout=None)
    queue = Queue(QUEUE, connection=connection, serializer="json")
    stopping = threading.Event()
    clock = threading.Thread(
        target=_tick, args=(lambda: _ask_for_upkeep(queue, store, files_dir), stopping), daemon=True
    )
    clock.start()
    try:
        # One process and no fork for each job: the jobs are ours, short and few.
        SimpleWorker([queue], connection=connection, serializer="json").work(
            logging_level="WARNING"
        )
    except redis.ConnectionError as error:
        raise CliError(f"Redis does not answer: {error}") from error
    finally:
        stopping.set()


def _tick(ask: Callable[[], None], stopping: threading.Event) -> None:
    import redis

    while not stopping.is_set():
        try:
            ask()
        except redis.RedisError as error:
            logging.getLogger(__name__).warning("upkeep could not be queued: %s", error)
        stopping.wait(UPKEEP_S - time.time() % UPKEEP_S)


def _ask_for_upkeep(queue: Queue, store: str, files_dir: str) -> None:
    """Queue one run for this hour; the id makes several of us queue it once."""
    from rq.exceptions import DuplicateJobError

    try:
        queue.enqueue(
            "dashboard.history.upkeep.tend",
            args=(store, files_dir),
            job_id=f"upkeep-{int(time.time() // UPKEEP_S)}",
            unique=True,
            job_timeout=_UPKEEP_TIMEOUT_S,
            result_ttl=_RESULT_KEPT_S,
        )
    except DuplicateJobError:
        return
