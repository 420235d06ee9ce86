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


async def test_the_watcher_follows_the_file_and_waits_while_it_is_away(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("scheduler: {window: 8}\n")
    source = source_of(file)
    file.write_text("scheduler: {window: 16}\n")  # before anybody watches
    watching = asyncio.create_task(source.watch())
    try:
        await until_window_is(source, 16)
        file.unlink()
        fresh = tmp_path / "new"
        fresh.write_text("scheduler: {window: 24}\n")
        fresh.replace(file)  # as editors do
        await until_window_is(source, 24)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def until_window_is(source: SettingsSource, window: int) -> None:
    async with asyncio.timeout(30):
        while source.current().scheduler.window != window:
            await asyncio.sleep(0.05)
