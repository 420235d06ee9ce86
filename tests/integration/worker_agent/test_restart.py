"""kill -9 of the agent loses nothing: the next one adopts workers and prompts."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest

from scheduler.ledger import Admitted
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState, WorkerState
from tests.integration.worker_agent.bed import NOTHING, Bed, fake_spec, make_agent, running
from tests.integration.worker_agent.killable import Killable
from tests.integration.worker_agent.killable import killable as killable


@pytest.mark.parametrize("ends_meanwhile", [False, True])
async def test_a_restarted_agent_adopts_the_running_prompt(
    ledger: RedisLedger, killable: Killable, tmp_path: Path, ends_meanwhile: bool
) -> None:
    first = killable
    bed = Bed(ledger, make_agent(ledger, tmp_path, []), [])
    await bed.ready()
    spec = first.spec()
    bed.specs = [spec]
    save = {"class_type": "SaveImage", "inputs": {"filename_prefix": "p"}}
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}, "2": save})
    await bed.running(job.id)
    first.kill()

    home = tmp_path / "worker0"
    go = home / "go"

    async def saved() -> bool:
        return (home / "output/vg/ann").exists()

    if ends_meanwhile:
        home.mkdir(exist_ok=True)
        go.touch()
        await bed.until(saved)
    second = make_agent(ledger, tmp_path, [fake_spec(tmp_path)])
    async with running(second):
        home.mkdir(exist_ok=True)
        go.touch()
        ended = await bed.until_ended(job.id)
        assert ended.state is JobState.SUCCEEDED
        assert ended.attempt == 1
        assert ended.losses == 0
        assert not ended.clean
        assert len((await bed.seen())["prompts"]) == 1
        outputs = (await bed.result(job.id))["outputs"]
        assert outputs["2"]["images"][0]["filename"] == "p_00001_.png"


async def test_a_restarted_agent_gives_back_what_was_to_make_room(
    ledger: RedisLedger, killable: Killable, tmp_path: Path
) -> None:
    bed = Bed(ledger, make_agent(ledger, tmp_path, []), [])
    await bed.ready()
    bed.specs = [killable.spec()]
    job = await bed.start({"1": {"class_type": "Held", "inputs": {}}})
    await bed.running(job.id)
    killable.kill()
    epoch = await ledger.lead("test", 60_000)
    assert epoch is not None
    assert await ledger.preempt(epoch, await bed.job(job.id))
    # the order dies with a connection that nobody reads any more
    assert await ledger.next_order("host", 1.0) is not None
    async with running(make_agent(ledger, tmp_path, [fake_spec(tmp_path)])):
        back = await bed.until_state(job.id, JobState.QUEUED)
        assert (back.preemptions, back.losses) == (1, 0)
        assert (await bed.seen())["interrupts"] == [job.id]


async def test_a_clean_stop_hands_the_prompt_back_and_stops_the_worker(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [fake_spec(tmp_path)]
    agent = make_agent(ledger, tmp_path, specs)
    async with running(agent):
        bed = Bed(ledger, agent, specs)
        await bed.ready()
        job = await bed.start({"1": {"class_type": "Sleep", "inputs": {"seconds": 30}}})
        await bed.running(job.id)
        pid = bed.pid()
    back = await bed.job(job.id)
    assert (back.state, back.losses) == (JobState.QUEUED, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_clean_stop_hands_back_what_has_not_begun(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
    spec = dataclasses.replace(fake_spec(tmp_path), command=sleeper)
    agent = make_agent(ledger, tmp_path, [spec])
    bed = Bed(ledger, agent, [spec])
    async with running(agent):
        job = await bed.submit({})

        async def admitted() -> bool:
            # it never comes up, so that the job stays RESERVED; we say that it is
            if (reported := agent.heartbeat.reported) is None:
                return False
            ready = [dataclasses.replace(reported.workers[0], state=WorkerState.READY)]
            await ledger.report(dataclasses.replace(reported, workers=ready))
            epoch = await ledger.lead("test", 60_000)
            assert epoch is not None
            reply = await ledger.admit(epoch, await bed.job(job.id), ready[0], NOTHING, 3000)
            return isinstance(reply, Admitted)

        await bed.until(admitted)
        assert (await bed.job(job.id)).state is JobState.RESERVED
    back = await bed.job(job.id)
    assert (back.state, back.losses) == (JobState.QUEUED, 0)


async def test_a_reserved_job_whose_order_was_lost_is_run(
    ledger: RedisLedger, tmp_path: Path
) -> None:
    specs = [fake_spec(tmp_path)]
    agent = make_agent(ledger, tmp_path, specs)
    bed = Bed(ledger, agent, specs)
    async with running(agent):
        await bed.ready()
    # the agent is away; its last report is recent enough to admit
    await ledger.report(agent.heartbeat.reported or pytest.fail("no report"))
    job = await bed.start({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "p"}}})
    assert await ledger.next_order("host", 1.0) is not None
    async with running(make_agent(ledger, tmp_path, specs)):
        assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
