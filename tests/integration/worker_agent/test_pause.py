"""An agent that was frozen for longer than its lease: fenced, and useful again at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from scheduler.ledger import Reaped
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState
from tests.integration.worker_agent.bed import AGENT, Bed, make_agent
from tests.integration.worker_agent.killable import Killable
from tests.integration.worker_agent.killable import killable as killable

HELD = {"1": {"class_type": "Held", "inputs": {}}}


async def reaped(ledger: RedisLedger) -> list[Reaped]:
    epoch = await ledger.lead("test", 60_000)
    assert epoch is not None
    return await ledger.reap(epoch, 3)


async def test_an_agent_that_was_paused_interrupts_what_is_no_longer_its_own(
    ledger: RedisLedger, killable: Killable, tmp_path: Path, go: Callable[[], None]
) -> None:
    bed = Bed(ledger, make_agent(ledger, tmp_path, []), [])
    await bed.ready()
    bed.specs = [killable.spec()]
    job = await bed.start(HELD)
    await bed.running(job.id)

    os.kill(killable.process.pid, signal.SIGSTOP)
    (lost,) = await bed.until(lambda: reaped(ledger))
    assert (lost.job_id, lost.state) == (job.id, JobState.QUEUED)
    # the worker was not frozen, and goes on with what is no longer wanted
    assert not (await bed.seen())["idle"]
    os.kill(killable.process.pid, signal.SIGCONT)

    async def is_interrupted() -> bool:
        seen = await bed.seen()
        return seen["interrupts"] == [job.id] and seen["idle"]

    await bed.until(is_interrupted)
    # the result of the fenced attempt is dropped, and the worker is usable
    back = await bed.job(job.id)
    assert (back.state, back.losses) == (JobState.QUEUED, 1)
    await bed.ready()
    await bed.admit(job.id, f"{AGENT}-0")
    await bed.until_state(job.id, JobState.RUNNING)
    go()
    ended = await bed.until_ended(job.id)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)
    posted = [body["prompt_id"] for body in (await bed.seen())["prompts"]]
    assert len(set(posted)) == 2
