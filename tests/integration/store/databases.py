"""An empty database per test: SQLite always, PostgreSQL under its marker."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from store.engine import open_engine


def _binaries() -> Path:
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    found = str(installed[-1]) if installed else shutil.which("initdb")
    if found is None:
        pytest.fail("PostgreSQL's initdb is missing: apt-get install postgresql, or put it on PATH")
    return Path(found).parent


def _account() -> str | None:
    """PostgreSQL refuses to run as root: the account to run it under, None when we are nobody special."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """Folder of the Unix socket of a private cluster, stopped when the tests end."""
    binaries, account = _binaries(), _account()
    folder = Path(tempfile.mkdtemp(prefix="vgpg"))
    if account:
        shutil.chown(folder, account)
    options = {"user": account} if account else {}
    data = folder / "data"
    make = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run(
        [*make, "--locale=C", "--no-sync"], check=True, capture_output=True, cwd=folder, **options
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", folder, "-h", "", "-F"],
            stdout=log,
            stderr=log,
            cwd=folder,
            **options,
        )
    try:
        for _ in range(300):
            ready = subprocess.run(
                [binaries / "pg_isready", "-h", folder, "-q"], check=False, cwd=folder
            )
            if ready.returncode == 0:
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        else:
            pytest.fail((folder / "log").read_text())
        yield folder
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder)


async def create_database(socket: Path, name: str) -> None:
    """Add an empty database to the cluster."""
    server = open_engine(f"postgresql://postgres@/postgres?host={socket}")
    async with server.connect() as connection:
        free = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await free.execute(text(f"CREATE DATABASE {name}"))
    await server.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    socket = request.getfixturevalue("postgres_socket")
    name = f"t{secrets.token_hex(6)}"
    await create_database(socket, name)
    return f"postgresql://postgres@/{name}?host={socket}"
