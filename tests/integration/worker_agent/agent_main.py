"""An agent as a process of its own, to be killed: ``agent_main.py REDIS POOL FOLDER``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from scheduler.redis_ledger import RedisLedger
from tests.integration.worker_agent.bed import fake_spec, make_agent


async def main(url: str, pool: str, folder: Path) -> None:
    ledger = RedisLedger.connect(url, pool)
    await make_agent(ledger, folder, [fake_spec(folder)]).run()


asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
