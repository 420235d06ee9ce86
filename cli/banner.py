"""The one block that `vramgate up` prints when it is ready."""

from __future__ import annotations

import sys

from cli.options import Ground
from cli.worker_source import WorkerSource
from config.checks import is_loopback
from config.settings import AuthMode, Settings


async def ready_block(
    ground: Ground, url: str, redis_url: str, source: WorkerSource, seconds: float
) -> str:
    """URLs, what it runs on, and what to do next."""
    settings = ground.source.current()
    lines = [
        f"vramgate is ready ({seconds:.1f} s)",
        "",
        f"  ComfyUI URL   {url}   (for browsers, Krita, scripts: instead of ComfyUI's own)",
        f"  dashboard     {url}/dashboard/",
        f"  runs on       {source.words}",
        f"  data          {ground.data_dir}",
    ]
    lines += [f"  {'access':13} {line}" for line in _access(settings)]
    personal = await _personal_url(settings, url, redis_url, source)
    if personal is not None:
        lines.append(f"  your URL      {personal}   (a key: shown once)")
    return "\n".join([*lines, "", "Ctrl-C stops everything.", ""])


def _access(settings: Settings) -> list[str]:
    if settings.auth.mode is AuthMode.OPEN:
        return ["this machine only, no keys asked for"]
    beyond = "" if is_loopback(settings.gateway.host) else "; other machines reach it too"
    keyed = sum(1 for user in settings.users if user.key or user.key_hash)
    return [
        f"by key ({keyed} in the config file, more by `vramgate users add NAME`){beyond}",
    ]


async def _personal_url(
    settings: Settings, url: str, redis_url: str, source: WorkerSource
) -> str | None:
    """Only for the demo on a terminal: a URL that lets its first user in without typing a key."""
    if not source.simulated or settings.auth.mode is AuthMode.OPEN or not sys.stdout.isatty():
        return None
    user = next(iter(settings.users), None)
    if user is None:
        return None
    from cli.users import open_ledger, person_of, put_url_key

    async with open_ledger(settings, redis_url) as ledger:
        person = await person_of(ledger, settings, user.name)
        # a new one would end one that somebody uses
        return None if person.has_url_key else await put_url_key(ledger, user.name, url)
