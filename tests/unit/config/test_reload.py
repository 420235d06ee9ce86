"""Hot reload: good files take effect, bad ones change nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from config.loading import load
from config.reload import SettingsSource, keep_until_restart
from config.settings import Gateway, Scheduler, Settings


def source_of(file: Path) -> SettingsSource:
    return SettingsSource(lambda: load(file, environ={}))


def test_a_good_file_takes_effect(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("scheduler: {window: 8}\n")
    source = source_of(file)
    file.write_text("scheduler: {window: 16}\n")
    assert source.reload()
    assert source.current().scheduler.window == 16
    assert not source.reload()


def test_a_bad_file_keeps_the_last_good_settings_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("scheduler: {window: 8}\n")
    source = source_of(file)
    file.write_text("scheduler: {windw: 16}\n")
    with capture_logs() as logs:
        assert not source.reload()
    assert source.current().scheduler.window == 8
    assert logs[0]["event"] == "config_refused"
    assert logs[0]["where"] == f"{file}:1"
    assert "did you mean `window`" in logs[0]["problem"]


def test_what_needs_a_restart_keeps_its_value_and_is_named() -> None:
    old = Settings(gateway=Gateway(port=1000))
    new = Settings(gateway=Gateway(port=2000, allowed_hosts=("a",)), scheduler=Scheduler(window=8))
    merged, waiting = keep_until_restart(old, new)
    assert waiting == ["gateway.port"]
    assert merged.gateway == Gateway(port=1000, allowed_hosts=("a",))
    assert merged.scheduler.window == 8


async def test_the_watcher_hands_over_changed_settings(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("scheduler: {window: 8}\n")
    source = source_of(file)
    seen: asyncio.Queue[int] = asyncio.Queue()

    async def on_change(settings: Settings) -> None:
        await seen.put(settings.scheduler.window)

    async def edit() -> None:  # as editors do; again, as the watcher takes a moment to begin
        window = 16
        while True:
            fresh = tmp_path / "new"
            fresh.write_text(f"scheduler: {{window: {window}}}\n")
            fresh.replace(file)
            window += 1
            await asyncio.sleep(0.3)

    tasks = [asyncio.create_task(source.watch(on_change)), asyncio.create_task(edit())]
    try:
        assert await asyncio.wait_for(seen.get(), 20) >= 16
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
