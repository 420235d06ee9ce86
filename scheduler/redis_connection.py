"""Two redis-py clients, the scripts, and what happens when the server is away.

redis-py retries and times out by itself in ways that do not fit us (a retried
script runs twice, a blocking read ends in a time-out): so commands have a
bounded pool, explicit time-outs and no automatic retry, and blocking reads a
client of their own without a socket time-out. We retry ourselves: every script
is idempotent.

On Python 3.11 redis-py 8.1 may answer a command although its task was cancelled:
it sends through ``asyncio.wait_for``, which drops a cancellation that comes in
the moment its inner call is done. Every call goes through ``_heeding``, which
makes good for that.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import redis.exceptions as errors
import structlog
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from scheduler.ledger import LedgerUnavailable
from scheduler.redis_pipe import ErrorAnswered, Pipe, PipeBroken
from scheduler.redis_waits import Waits

_log = structlog.get_logger()
T = TypeVar("T")
Client = Redis | RedisCluster
Arg = str | bytes | int | float

_CONNECTIONS: Final = 32
_COMMAND_TIMEOUT_S: Final = 2.0
#: commands of one round trip over the shared connection; more would hold up who asks for little
_SMALL: Final = 64
#: beyond its own block time, before a silent connection is given up
_BLOCK_GRACE_S: Final = 5.0
#: nobody waits longer at once
_LONGEST_BLOCK_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_CLUSTER_SCHEME: Final = "redis+cluster://"
_SENTINEL_SCHEME: Final = "redis+sentinel://"
_SENTINEL_PORT: Final = 26379
#: So long a submit waits for a replica at most: without one, prompts are taken all the same.
_COPY_MS: Final = 100
_REFUSED: Final = "Redis refuses us ({}): check user and password in redis.url"
_AWAY: Final = (
    errors.ConnectionError,  # also: loading its data, no free connection
    errors.TimeoutError,
    errors.ReadOnlyError,  # a replica, while it is promoted
    errors.ClusterDownError,
    errors.TryAgainError,
    errors.MasterDownError,
    errors.RedisClusterException,
    TimeoutError,
    OSError,
)


def load_scripts() -> dict[str, str]:
    """The Lua texts shipped beside this file, by name; ``_lib`` is put before each."""
    folder = Path(__file__).parent / "lua"
    return {file.stem: file.read_text() for file in sorted(folder.glob("*.lua"))}


class Connection:
    """One pool's way to its server.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://host:port``, or
            ``redis+sentinel://[user:password@]host:port[,host:port]/master-name``.
        patience_s: how long a call is tried again while the server is away.
        scripts: Lua texts by name, in place of the shipped ones.
    """

    def __init__(
        self, url: str, *, patience_s: float, scripts: Mapping[str, str] | None = None
    ) -> None:
        self._patience_s = patience_s
        texts = load_scripts() if scripts is None else dict(scripts)
        library = texts.pop("_lib")
        self._scripts = {name: f"{library}\n{text}" for name, text in texts.items()}
        self._digests = {
            name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            for name, text in self._scripts.items()
        }
        self._sentinels: list[Sentinel] = []
        if url.startswith(_SENTINEL_SCHEME):
            self._sentinels, self._commands, self._blocking = _sentinel_clients(url)
        else:
            self._commands, self._blocking = _clients(url)
        self._pipe = Pipe.beside(self._commands, _COMMAND_TIMEOUT_S)
        self._waits = None if self._pipe is None else Waits(self._new_wait)
        self._shapes: Mapping[Any, Callable[[Any], Any]] = (
            self._commands.response_callbacks if isinstance(self._commands, Redis) else {}
        )
        # Clients of clusters and sentinels have no waiting pool: they raise, or open without
        # end, when all connections are in use.
        self._slots = asyncio.Semaphore(_CONNECTIONS)

    async def script(
        self, name: str, keys: Sequence[str], args: Sequence[Arg], *, copied: bool = False
    ) -> Any:
        """Run one transition. Safe to repeat, and repeated while the server is away.

        ``copied``: where sentinels watch over replicas, answer when one of them has it too
        (docs/decisions/0010).

        Raises:
            LedgerUnavailable: it stayed away for longer than ``patience_s``.
        """
        if copied and self._sentinels:
            return await self._patiently(lambda: self._evaluate_copied(name, keys, args))
        return await self._patiently(lambda: self._evaluate(name, keys, args))

    async def command(self, *words: Arg) -> Any:
        """Run one command that may be repeated."""
        return await self._patiently(lambda: self._execute(words))

    async def quick(self, *words: Arg) -> Any:
        """Run one small command that may be repeated, and is asked very often."""
        if self._pipe is not None:
            try:
                return await self._pipe.ask(words)
            except PipeBroken as error:
                _log.debug("pipe_broken", error=str(error))
        return await self.command(*words)

    async def pipeline(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        """Run commands that may be repeated in one round trip; no transaction."""
        if not commands:
            return []
        return await self._patiently(lambda: self._pipeline(commands))

    async def wait(self, block_s: float, *words: Arg) -> Any:
        """Run one blocking command; ``words`` carry its block time, told here in seconds too.

        The reply may be as the server gives it (RESP2), or as redis-py does.
        """

        async def once() -> Any:
            async with asyncio.timeout(block_s + _BLOCK_GRACE_S):
                if self._waits is not None:
                    try:
                        return await self._waits.ask(words)
                    except PipeBroken as error:
                        _log.debug("pipe_broken", error=str(error))
                await _know_nodes(self._blocking)
                return await self._blocking.execute_command(*words)

        return await self._patiently(once)

    async def close(self) -> None:
        """Drop all connections."""
        if self._pipe is not None:
            self._pipe.close()
        if self._waits is not None:
            self._waits.close()
        await self._commands.aclose()
        await self._blocking.aclose()
        for sentinel in self._sentinels:
            await sentinel.aclose()

    def _new_wait(self) -> Pipe | None:
        return Pipe.beside(self._blocking, _LONGEST_BLOCK_S + _BLOCK_GRACE_S)

    async def _evaluate(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        head = (len(keys), *keys, *args)
        if self._pipe is not None:
            try:
                return await self._pipe.ask(("EVALSHA", self._digests[name], *head))
            except ErrorAnswered:
                pass  # mostly a script's first use; asked again below, any other error is raised
            except PipeBroken as error:
                _log.debug("pipe_broken", script=name, error=str(error))
        async with self._slots:
            await _know_nodes(self._commands)
            try:
                return await self._commands.execute_command("EVALSHA", self._digests[name], *head)
            except errors.NoScriptError:  # a server that has restarted, or its first time
                return await self._commands.execute_command("EVAL", self._scripts[name], *head)

    async def _evaluate_copied(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        head = (len(keys), *keys, *args)
        reply, copies = await self._with_copies(("EVALSHA", self._digests[name], *head))
        if isinstance(reply, errors.NoScriptError):
            reply, copies = await self._with_copies(("EVAL", self._scripts[name], *head))
        if isinstance(reply, Exception):
            raise reply
        if copies != 1:
            _log.warning("not_copied", script=name, waited_ms=_COPY_MS)
        return reply

    async def _with_copies(self, words: Sequence[Arg]) -> list[Any]:
        """A command's reply, or its error, and how many replicas (1 is enough) have it by then."""
        async with self._slots:
            pipe = self._commands.pipeline(transaction=False)
            pipe.execute_command(*words)
            pipe.execute_command("WAIT", 1, _COPY_MS)
            replies: list[Any] = await pipe.execute(raise_on_error=False)
            return replies

    async def _execute(self, words: Sequence[Arg]) -> Any:
        if self._pipe is not None and " " not in str(words[0]):  # redis-py knows it as two
            try:
                return self._as_redis_py(words, await self._pipe.ask(words))
            except PipeBroken as error:
                _log.debug("pipe_broken", error=str(error))
        async with self._slots:
            await _know_nodes(self._commands)
            return await self._commands.execute_command(*words)

    async def _pipeline(self, commands: Sequence[Sequence[Arg]]) -> list[Any]:
        if self._pipe is not None and len(commands) <= _SMALL:
            try:
                replies = await self._pipe.ask_all(commands)
            except PipeBroken as error:
                _log.debug("pipe_broken", error=str(error))
            else:
                return list(map(self._as_redis_py, commands, replies))
        async with self._slots:
            await _know_nodes(self._commands)
            pipe = (
                self._commands.pipeline()
                if isinstance(self._commands, RedisCluster)
                else self._commands.pipeline(transaction=False)
            )
            for words in commands:
                pipe.execute_command(*words)
            found: list[Any] = await pipe.execute()
            return found

    def _as_redis_py(self, words: Sequence[Arg], reply: Any) -> Any:
        """A reply in the form that its client gives to this command's: a dict for a hash."""
        shape = self._shapes.get(words[0])
        return reply if shape is None else shape(reply)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await _heeding(call)
            except errors.OutOfMemoryError as error:
                raise LedgerUnavailable(
                    "Redis is full: raise its maxmemory or lower store.keep_jobs"
                ) from error
            except (errors.AuthenticationError, errors.NoPermissionError) as error:
                raise LedgerUnavailable(_REFUSED.format(error)) from error
            except (*_AWAY, errors.ResponseError) as error:
                if isinstance(error.__cause__, errors.AuthenticationError):
                    raise LedgerUnavailable(_REFUSED.format(error)) from error
                if not _is_away(error):
                    raise
                if loop.time() + pause > deadline:
                    raise LedgerUnavailable(
                        f"Redis does not answer ({type(error).__name__}: {error}):"
                        " check that it runs and that redis.url is right"
                    ) from error
                _log.debug("redis_retry", error=f"{type(error).__name__}: {error}", pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)


async def _heeding(call: Callable[[], Awaitable[T]]) -> T:
    """Await ``call``; if its task was cancelled meanwhile, that is what comes of it."""
    task = asyncio.current_task()
    asked = task.cancelling() if task else 0
    try:
        reply = await call()
    except Exception as error:
        if task and task.cancelling() > asked:
            raise asyncio.CancelledError from error
        raise
    if task and task.cancelling() > asked:
        raise asyncio.CancelledError
    return reply


def _is_away(error: Exception) -> bool:
    """Whether waiting helps. Some have no class of their own: their code leads the message.

    UNBLOCKED: the server we waited at was made a replica.
    """
    return isinstance(error, _AWAY) or str(error).startswith(("BUSY ", "UNBLOCKED "))


async def _know_nodes(client: Client) -> None:
    """Let a cluster client read the cluster's layout before its first command.

    Left to itself it sends its first commands anywhere, and the redirections
    then make it drop connections that other tasks are using (redis-py 8.1).
    """
    if isinstance(client, RedisCluster):
        await client.initialize()


def _clients(url: str) -> tuple[Client, Client]:
    if url.startswith(_CLUSTER_SCHEME):
        plain = "redis://" + url.removeprefix(_CLUSTER_SCHEME)
        return _cluster(plain, _COMMAND_TIMEOUT_S), _cluster(plain, None)
    common: dict[str, Any] = {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
    commands = BlockingConnectionPool.from_url(
        url, max_connections=_CONNECTIONS, socket_timeout=_COMMAND_TIMEOUT_S, **common
    )
    blocking = ConnectionPool.from_url(
        url, socket_timeout=None, socket_connect_timeout=_COMMAND_TIMEOUT_S, **common
    )
    return Redis.from_pool(commands), Redis.from_pool(blocking)


def _cluster(url: str, socket_timeout: float | None) -> RedisCluster:
    return RedisCluster.from_url(
        url,
        protocol=2,
        socket_timeout=socket_timeout,
        socket_connect_timeout=_COMMAND_TIMEOUT_S,
        max_connections=4 * _CONNECTIONS,
        # Each redirection corrects its own slot; reading the layout anew would drop
        # connections that other tasks are using.
        reinitialize_steps=0,
        retry=Retry(NoBackoff(), 0),
    )


def _sentinel_clients(url: str) -> tuple[list[Sentinel], Client, Client]:
    """Clients of whichever server the sentinels name as master, asked at each new connection.

    Raises:
        ValueError: the URL names no sentinel or no master.
    """
    parts = urlsplit(url)
    master = parts.path.strip("/")
    hosts = [_host_and_port(one) for one in parts.netloc.rpartition("@")[2].split(",") if one]
    if not master or not hosts:
        raise ValueError(
            "redis.url for sentinels reads redis+sentinel://host:port[,host:port]/master-name"
        )
    connect: dict[str, Any] = {
        "socket_connect_timeout": _COMMAND_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    server: dict[str, Any] = {"protocol": 2, **_credentials(parts)}
    make: Any = Sentinel  # redis-py has no types for it
    sentinels, clients = [], []
    for socket_timeout in (_COMMAND_TIMEOUT_S, None):
        asking = connect | {"socket_timeout": _COMMAND_TIMEOUT_S}
        sentinels.append(make(hosts, sentinel_kwargs=asking, **connect))
        clients.append(sentinels[-1].master_for(master, socket_timeout=socket_timeout, **server))
    return sentinels, clients[0], clients[1]


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    return host.strip("[]"), int(port or _SENTINEL_PORT)


def _credentials(parts: SplitResult) -> dict[str, str]:
    named = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in named.items() if value}
