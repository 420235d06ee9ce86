"""Room for uploads: what a user may still keep, and what the disk still takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from config.free_space import free_bytes
from config.settings import Settings
from gateway.context import Identity, Services
from gateway.errors import DiskFull, QuotaExceeded

log = structlog.get_logger()


def upload_quota(settings: Settings, user: str, group: str) -> int | None:
    """Most bytes of uploads that this user may keep: its own limit, its group's, or everybody's."""
    own = settings.user(user)
    if own is not None and own.upload_quota is not None:
        return own.upload_quota
    shared = settings.group(group).upload_quota
    return settings.files.upload_quota if shared is None else shared


async def room_for_upload(svc: Services, who: Identity) -> int | None:
    """Bytes that the user may still upload; None: no limit.

    Raises:
        DiskFull: less is free than ``files.min_free``.
        QuotaExceeded: the user has no byte left.
    """
    await check_disk(svc.settings(), svc.blobs.folder)
    limit = upload_quota(svc.settings(), who.user, who.group)
    if limit is None:
        return None
    used = await svc.input_files.used_bytes(who.user)
    if used >= limit:
        raise over_quota(limit - used)
    return limit - used


async def check_disk(settings: Settings, folder: Path) -> None:
    """Raises DiskFull where less is free than ``files.min_free``."""
    free = await asyncio.to_thread(free_bytes, folder)
    if free is not None and free < settings.files.min_free:
        log.error("disk_full", folder=str(folder), free_bytes=free)
        raise disk_full()


def over_quota(left_bytes: int) -> QuotaExceeded:
    """The one wording for every place that meets the quota."""
    return QuotaExceeded(
        f"Your uploads have reached their limit; {max(left_bytes, 0)} bytes are left. Delete what you "
        "no longer need (GET /vramgate/files lists it), or ask your admin for a larger upload_quota."
    )


def disk_full() -> DiskFull:
    """The one wording for every place that meets a full disk."""
    return DiskFull(
        "This server's disk is full; nothing was kept. Tell your admin, then try again."
    )
