"""Makes a backup of a running or stopped installation.

The order is what makes it consistent: first the ledger's books at one instant, then the
store. What settles in between is unfinished in the one and ended in the other, and a restore
believes the store; what settled before and was not recorded yet comes along in the ledger's
own stream, and is recorded after a restore. So no settled job is lost, and none comes twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from cli.box import Box
from cli.ledger_file import write_keys
from cli.manifest import Manifest
from cli.version import own_version
from scheduler.redis_layout import LAYOUT
from scheduler.redis_ledger import RedisLedger
from store.copying import copy_out, prove

STORE: Final = "store.db"
LEDGER: Final = "ledger.msgpack"
CONFIG: Final = "config/vramgate.yaml"
TOKEN: Final = "config/cluster.token"  # noqa: S105 - a path
#: before the path of an uploaded file
FILES: Final = "files/"
#: what is going on, and how much of it is done, 0 to 1
Said = Callable[[str, float], None]


async def make(
    box: Box,
    *,
    ledger: RedisLedger,
    engine: AsyncEngine,
    files: Path,
    config: Path | None,
    token: Path | None,
    pool: str,
    said: Said,
) -> Manifest:
    """Put all of it into a box.

    Args:
        box: a new one.
        ledger: of the pool.
        engine: the store.
        files: the gateways' folder of uploads.
        config: the file of settings; None: there is none.
        token: the file with the cluster's token; None: it is elsewhere.
        pool: the pool's name.
        said: told how far it is.

    Raises:
        LedgerUnavailable: there is no backup.
        OSError: it cannot be written; there is no backup.
    """
    with tempfile.TemporaryDirectory(prefix="vramgate-backup-") as folder:
        part = Path(folder) / LEDGER
        said("queue, keys and profiles", 0.0)
        counts = await write_keys(part, ledger.kept())
        box.add(LEDGER, part, secret=True)
        part = Path(folder) / STORE
        await copy_out(engine, part, lambda share: said("history", share))
        revision = await prove(part)
        box.add(STORE, part, secret=True)
    uploads = _uploads(files, box, said)
    for name, file in ((CONFIG, config), (TOKEN, token)):
        if file is not None and file.is_file():
            box.add(name, file, secret=True)
    manifest = Manifest(
        version=own_version(),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pool=pool,
        revision=revision,
        database=engine.dialect.name,
        layout=LAYOUT,
        counts={
            "jobs in the ledger": counts.get("job", 0),
            "profiles": counts.get("profile", 0),
            "uploads": uploads,
        },
        parts=box.parts,
    )
    box.close(manifest)
    said("done", 1.0)
    return manifest.sealed()


def _uploads(files: Path, box: Box, said: Said) -> int:
    """Copy what users uploaded; what is being uploaded now is left out."""
    found = sorted(path for path in (files / "blobs").glob("??/*") if path.is_file())
    copied = 0
    for number, path in enumerate(found):
        said("uploads", number / len(found))
        try:
            box.add(f"{FILES}blobs/{path.parent.name}/{path.name}", path)
        except FileNotFoundError:  # upkeep deleted it: nobody had a name for it
            continue
        copied += 1
    return copied
