"""Deletes files that have been kept for long enough: run each hour as an RQ job.

The store is the truth. What it has no record of is nobody's and stays; bytes that an
unfinished job needs stay; a file whose host is away is tried again next hour.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from cli.boot import LiveSettings, cluster_token, connect_ledger, redis_url, store_url
from cli.errors import CliError
from cli.hosts import HostAway, Hosts
from cli.leftovers import Leftovers
from cli.options import read_ground
from config.problems import ConfigError
from config.settings import Settings
from config.tls import trusting
from scheduler.ledger import Ledger
from scheduler.workflow.passed_pictures import PASSED
from store.engine import open_engine
from store.migrate import migrate
from store.outputs import Output, SqlOutputs

_log = structlog.get_logger()

#: files of one kind that one run looks at; the next hour goes on
_MOST: Final = 20_000


def tend_files(config: str, data_dir: str) -> dict[str, int]:
    """The job.

    Args:
        config: path of the config file, "" for none.
        data_dir: the data folder; uploads lie in its ``files``.

    Returns:
        What was deleted, by kind.

    Raises:
        LedgerUnavailable: nothing may be deleted while nobody can say what jobs need.
    """
    return asyncio.run(_tend(Path(config) if config else None, Path(data_dir)))


async def _tend(config: Path | None, data_dir: Path) -> dict[str, int]:
    try:
        ground = read_ground(config, data_dir)
    except ConfigError:
        # the roles that run tell what is wrong with it; nobody knows what may be deleted
        _log.warning("files_not_tended", why="the config file is refused")
        return {}
    live = LiveSettings(ground)
    engine = open_engine(store_url(live(), data_dir))
    ledger = connect_ledger(live(), redis_url(live(), data_dir))
    try:
        await migrate(engine)
        await live.read(ledger)
        async with Hosts(
            await ledger.pool(), _token(live(), data_dir), trusting(live().cluster)
        ) as hosts:
            tended = Retention(live(), SqlOutputs(engine), hosts, int(time.time() * 1000))
            await tended.run()
        leftovers = Leftovers(data_dir / "files", time.time())
        unneeded = await _unneeded(leftovers, SqlOutputs(engine), ledger)
        tended.done["blobs"] = leftovers.collect(unneeded)
    finally:
        await ledger.close()
        await engine.dispose()
    _log.info("files_tended", **tended.done)
    return tended.done


def _token(settings: Settings, data_dir: Path) -> str:
    """The cluster token; without one uploads are tended all the same, and no host lets us in."""
    try:
        return cluster_token(settings, data_dir)
    except CliError as error:
        _log.error("outputs_not_tended", detail=str(error))
        return ""


async def _unneeded(leftovers: Leftovers, outputs: SqlOutputs, ledger: Ledger) -> set[str]:
    """Digests that no user names and no unfinished job needs."""
    there = leftovers.digests()
    jobs = [job for row in await ledger.counts() for job in await ledger.unfinished(row.user)]
    needed = {file.sha256 for job in jobs for file in job.inputs}
    return there - needed - await outputs.named(there)


@dataclass(slots=True)
class Retention:
    """One run over all users' files."""

    settings: Settings
    outputs: SqlOutputs
    hosts: Hosts
    now_ms: int
    done: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("outputs", "temp", "uploads", "left", "away"), 0)
    )

    async def run(self) -> None:
        """Forget and delete what is too old, then what is too much."""
        rules = self.settings.files
        temp_ms = self._before(rules.keep_temp)
        self.done["uploads"] += await self.outputs.forget_uploads(("temp", PASSED), temp_ms)
        await self._delete(await self.outputs.older("temp", temp_ms, _MOST))
        if rules.keep_uploads is not None:
            before_ms = self._before(rules.keep_uploads)
            self.done["uploads"] += await self.outputs.forget_uploads(
                ("input", "output"), before_ms
            )
        if rules.keep_outputs is not None:
            before_ms = self._before(rules.keep_outputs)
            await self._delete(await self.outputs.older("output", before_ms, _MOST))
        await self._keep_quotas()

    def _before(self, kept_s: float) -> int:
        return self.now_ms - int(kept_s * 1000)

    async def _keep_quotas(self) -> None:
        limits = self._limits(await self.outputs.used_bytes())
        if not limits:
            return
        await self._find_sizes()
        used = await self.outputs.used_bytes()
        for user, limit in limits.items():
            over = used.get(user, 0) - limit
            if over > 0:
                await self._delete(_oldest(await self.outputs.of_user(user, "output", _MOST), over))

    def _limits(self, users: Iterable[str]) -> dict[str, int]:
        found = {user: output_quota(self.settings, user) for user in users}
        return {user: limit for user, limit in found.items() if limit is not None}

    async def _find_sizes(self) -> None:
        for output in await self.outputs.unsized(_MOST):
            try:
                size = await self.hosts.size(output.record)
            except HostAway:
                continue
            if size is None:
                await self.outputs.forget(output)
            else:
                await self.outputs.note_size(output, size)

    async def _delete(self, old: Iterable[Output]) -> None:
        """Files first, then their records: what is not yet gone is found again."""
        for output in old:
            try:
                deleted = await self.hosts.delete(output.record)
            except HostAway as error:
                self.done["away"] += 1
                _log.info("file_not_deleted", user=output.user, detail=str(error))
                continue
            await self.outputs.forget(output)
            self.done["outputs" if output.record.type == "output" else "temp"] += 1
            self.done["left"] += not deleted


def output_quota(settings: Settings, user: str) -> int | None:
    """Most bytes of outputs that this user may keep: its own limit, its group's, or everybody's."""
    own = settings.user(user)
    if own is not None and own.output_quota is not None:
        return own.output_quota
    shared = settings.group(own.group if own is not None else "default").output_quota
    return settings.files.output_quota if shared is None else shared


def _oldest(outputs: Iterable[Output], over_bytes: int) -> list[Output]:
    """As many of these, oldest first, as make up so many bytes."""
    chosen = []
    for output in outputs:
        if over_bytes <= 0:
            break
        chosen.append(output)
        over_bytes -= output.size_bytes
    return chosen
