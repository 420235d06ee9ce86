"""``vramgate jobs``: off-path work on RQ, and the clock that asks for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cli.boot import redis_url
from cli.chores import work_for
from cli.errors import CliError
from cli.logs import set_up_logging
from cli.options import ConfigOption, DataDirOption, Ground, read_ground

if TYPE_CHECKING:
    from rq import Queue

QUEUE: Final = "vramgate"
#: How often there are chores.
UPKEEP_S: Final = 3600
#: How often outputs and messages about alerts are delivered, where they are.
DELIVERY_S: Final = 10
#: How often usage and samples are added up.
SUMS_S: Final = 60
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
    work_for(ground)
    work(url, lambda: chores(ground), lambda: errands(ground))


@dataclass(frozen=True, slots=True)
class Chore:
    """One regular job."""

    name: str
    #: dotted name of a function that may be called twice, and killed
    function: str
    args: tuple[Any, ...] = ()
    #: seconds between two runs
    every_s: int = UPKEEP_S


def chores(ground: Ground) -> list[Chore]:
    """What is to be done each hour, by the settings as they are now."""
    ground.source.reload()
    # by name: keys and tokens in it must not lie about in Redis
    config = str(ground.loaded.file or "")
    return [
        Chore("upkeep", "cli.chores.tend"),
        Chore("week", "cli.chores.learn_week"),
        Chore("files", "cli.retention.tend_files", (config, str(ground.data_dir))),
        Chore("history", "cli.chores.tidy"),
    ]


def errands(ground: Ground) -> list[Chore]:
    """What is to be done every few seconds, by the settings as they are now."""
    ground.source.reload()
    settings = ground.source.current()
    often = [
        Chore("sums", "cli.chores.add_up", (), SUMS_S),
        Chore("advice", "cli.chores.advise", (), SUMS_S),
        # always: admins may give a budget while all runs
        Chore("budgets", "cli.chores.tell_spent", (), SUMS_S),
    ]
    # by name: keys and secrets in it must not lie about in Redis
    args = (str(ground.loaded.file or ""), str(ground.data_dir))
    if settings.alerts.webhooks or settings.alerts.mails:
        often.append(Chore("alerts", "cli.telling.tell", args, DELIVERY_S))
    if settings.files.deliver is not None:
        often.append(Chore("delivery", "cli.delivery.deliver", args, DELIVERY_S))
    return often


def work(url: str, due: Callable[[], list[Chore]], often: Callable[[], list[Chore]] = list) -> None:
    """Serve the queue until SIGTERM.

    Args:
        url: RQ's server.
        due: what is to be done each hour.
        often: what is to be done every few seconds.

    Raises:
        CliError: the server does not answer.
    """
    import redis
    from rq import Queue, SimpleWorker

    # None: redis-py would give up a blocking read after 5 s; RQ sets a time-out of its own
    connection = redis.Redis.from_url(url, socket_timeout=None)
    queue = Queue(QUEUE, connection=connection, serializer="json")
    stopping = threading.Event()
    for ask, every_s in ((due, UPKEEP_S), (often, DELIVERY_S)):
        threading.Thread(target=_tick, args=(queue, ask, stopping, every_s), daemon=True).start()
    try:
        # One process and no fork for each job: the jobs are ours, short and few.
        SimpleWorker([queue], connection=connection, serializer="json").work(
            logging_level="WARNING"
        )
    except redis.ConnectionError as error:
        raise CliError(f"Redis does not answer: {error}") from error
    finally:
        stopping.set()


def _tick(
    queue: Queue, due: Callable[[], list[Chore]], stopping: threading.Event, every_s: int
) -> None:
    import redis

    while not stopping.is_set():
        try:
            _ask(queue, due())
        except (redis.RedisError, CliError, OSError) as error:
            logging.getLogger(__name__).warning("upkeep could not be queued: %s", error)
        stopping.wait(every_s - time.time() % every_s)


def _ask(queue: Queue, due: Iterable[Chore]) -> None:
    """Queue one run of each for this time; the ids make several of us queue them once."""
    from rq.exceptions import DuplicateJobError

    for chore in due:
        with suppress(DuplicateJobError):
            queue.enqueue(
                chore.function,
                args=chore.args,
                job_id=f"{chore.name}-{int(time.time() // chore.every_s)}",
                unique=True,
                job_timeout=_UPKEEP_TIMEOUT_S,
                result_ttl=min(_RESULT_KEPT_S, 24 * chore.every_s),
            )
