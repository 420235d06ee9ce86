"""A database whose disk is full says so, and keeps nothing by halves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from store.documents import SqlDocuments
from store.engine import open_engine
from store.errors import StoreFull
from store.migrate import migrate


async def test_a_document_that_finds_no_room_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    engine = open_engine(url)
    await migrate(engine)
    await engine.dispose()
    engine = open_engine(url)

    def limit(connection: Any, _record: Any) -> None:
        # SQLite then says what it says of a full disk
        connection.execute("PRAGMA max_page_count = 1")

    event.listen(engine.sync_engine, "connect", limit)
    documents = SqlDocuments(engine, time.time)
    with pytest.raises(StoreFull):
        await documents.write("ann", "workflows/a.json", bytes(10_000_000), overwrite=True)
    assert await documents.read("ann", "workflows/a.json") is None
    await engine.dispose()
