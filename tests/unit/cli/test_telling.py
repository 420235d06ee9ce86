"""The errand that sends messages reads the config file anew, and needs nothing but its name."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from cli.telling import tell
from dashboard.alerts.message import trial_body
from store.alert_messages import SqlAlertMessages
from store.alert_records import Message
from store.engine import open_engine
from store.migrate import migrate
from tests.integration.alerts.servers import hook_server


async def test_messages_that_wait_are_sent_by_a_job_of_rq(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'vramgate.db'}")
    await migrate(engine)
    now_ms = int(time.time() * 1000)
    waiting = Message(
        id="m1", receiver="ops", made_ms=now_ms, next_ms=now_ms, tries=0, done_ms=None,
        result="", error="", body=trial_body("m1", "ops", "ada", now_ms),
    )  # fmt: skip
    await SqlAlertMessages(engine).add([waiting])
    await engine.dispose()
    async with hook_server() as hook:
        config = tmp_path / "vramgate.yaml"
        receiver = {"name": "ops", "url": hook.url, "secret": "sixteen letters!"}
        config.write_text(json.dumps({"alerts": {"webhooks": [receiver]}}))
        assert await asyncio.to_thread(tell, str(config), str(tmp_path)) == 1
        assert await asyncio.to_thread(tell, str(config), str(tmp_path)) == 0
        assert [headers["webhook-id"] for headers, _ in hook.got] == ["m1"]
