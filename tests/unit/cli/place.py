"""A store with files of several users, and an agent that has them on its disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.hosts import Hosts
from cli.retention import Retention
from config.settings import Settings
from store import schema
from store.engine import writing
from store.outputs import SqlOutputs

TOKEN = "a-cluster-token-for-tests"
DAY_MS = 86_400_000
NOW_MS = 1_800_000_000_000


@dataclass
class Place:
    """A store with files of ann's and bob's, and the worker's folder that they lie in."""

    engine: AsyncEngine
    hosts: Hosts
    folder: Path

    async def made(
        self, user: str, name: str, days: float, body: bytes, type: str = "output"
    ) -> Path:
        """A job of that age made this file."""
        path = self.folder / type / "vg" / user / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        job = f"{user}-{name}"
        where = {"user_name": user, "type": type, "subfolder": "", "filename": name}
        on_disk = {"worker_subfolder": f"vg/{user}", "worker_filename": name}
        row = {**where, **on_disk, "agent": "host", "worker": "host-0", "job_id": job}
        async with writing(self.engine) as connection:
            await connection.execute(insert(schema.jobs).values(**_job(job, user, days)))
            await connection.execute(insert(schema.files).values(**row))
        return path

    async def tend(self, **files: Any) -> dict[str, int]:
        users = [{"name": "ann"}, {"name": "bob", "output_quota": "1GiB"}]
        settings = Settings.model_validate({"files": files, "users": users})
        run = Retention(settings, SqlOutputs(self.engine), self.hosts, NOW_MS)
        await run.run()
        return run.done

    async def recorded(self) -> list[str]:
        async with self.engine.connect() as connection:
            return sorted(await connection.scalars(select(schema.files.c.filename)))


def _job(id: str, user: str, days: float) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in schema.jobs.columns:
        if not column.nullable and column.server_default is None:
            row[column.name] = "" if isinstance(column.type, schema.Words) else 0
    ended = NOW_MS - int(days * DAY_MS)
    return {**row, "id": id, "user_name": user, "state": "SUCCEEDED", "ended_ms": ended}
