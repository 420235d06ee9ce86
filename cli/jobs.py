"""``vramgate jobs``: off-path work on RQ, and the clock that asks for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cli.boot import redis_url, store_url
from cli.errors import CliError
from cli.logs import set_up_logging
from cli.options import ConfigOption, DataDirOption, Ground, read_ground

if TYPE_CHECKING:
    from rq import Queue

QUEUE: Final = "vramgate"
#: How often there are chores.
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
    work(url, lambda: chores(ground))


@dataclass(frozen=True, slots=True)
class Chore:
    """One hourly job."""

    name: str
    #: dotted name of a function that may be called twice, and killed
    function: str
    args: tuple[str, ...]


def chores(ground: Ground) -> list[Chore]:
    """What is to be done each hour, by the settings as they are now.

    Raises:
        CliError: there is no ledger's server to be found.
    """
    ground.source.reload()
    settings, data_dir = ground.source.current(), ground.data_dir
    # by name: keys and tokens in it must not lie about in Redis
    config = str(ground.loaded.file or "")
    store, ledger = store_url(settings, data_dir), redis_url(settings, data_dir)
    return [
        Chore("upkeep", "dashboard.history.upkeep.tend", (store, str(data_dir / "files"))),
        Chore(
            "week",
            "cli.week.learn_week",
            (store, ledger, settings.redis.pool, settings.scheduler.rhythm_zone),
        ),
        Chore("files", "cli.retention.tend_files", (config, str(data_dir))),
    ]


def work(url: str, due: Callable[[], list[Chore]]) -> None:
    """Serve the queue until SIGTERM.

    Args:
        url: RQ's server.
        due: what is to be done each hour.

    Raises:
        CliError: the server does not answer.
    """
    import redis
    from rq import Queue, SimpleWorker

    # None: redis-py would give up a blocking read after 5 s; RQ sets a time-out of its own
    connection = redis.Redis.from_url(url, socket_timeout=None)
    queue = Queue(QUEUE, connection=connection, serializer="json")
    stopping = threading.Event()
    clock = threading.Thread(target=_tick, args=(lambda: _ask(queue, due()), stopping), daemon=True)
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
        except (redis.RedisError, CliError) as error:
            logging.getLogger(__name__).warning("upkeep could not be queued: %s", error)
        stopping.wait(UPKEEP_S - time.time() % UPKEEP_S)


def _ask(queue: Queue, due: Iterable[Chore]) -> None:
    """Queue one run of each for this hour; the ids make several of us queue them once."""
    from rq.exceptions import DuplicateJobError

    for chore in due:
        with suppress(DuplicateJobError):
            queue.enqueue(
                chore.function,
                args=chore.args,
                job_id=f"{chore.name}-{int(time.time() // UPKEEP_S)}",
                unique=True,
                job_timeout=_UPKEEP_TIMEOUT_S,
                result_ttl=_RESULT_KEPT_S,
            )
