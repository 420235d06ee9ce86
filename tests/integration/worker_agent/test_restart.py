"""kill -9 of the agent loses nothing: the next one adopts workers and prompts."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.ledger import Admitted
from scheduler.redis_ledger import RedisLedger
from scheduler.states import JobState, WorkerState
from tests.integration.worker_agent.bed import Bed, fake_spec, make_agent, running
from worker_agent.launch import LaunchSpec
from worker_agent.supervisor import Registry, start_time

MAIN = Path(__file__).parent / "agent_main.py"
ROOT = Path(__file__).parents[3]


class Killable:
    """An agent in a process of its own."""

    def __init__(self, url: str, pool: str, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(MAIN), url, pool, str(folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def spec(self) -> LaunchSpec:
        """Of the worker it started, as it noted it."""
        noted = json.loads((self.folder / "workers.json").read_text())
        spec = fake_spec(self.folder)
        return LaunchSpec(
            id=spec.id,
            command=spec.command,
            env=spec.env,
            url=noted[spec.id]["url"],
            gpu_uuid="",
            log_path=spec.log_path,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def killable(valkey_url: str, pool_name: str, tmp_path: Path) -> Iterator[Killable]:
    """An agent to be killed; nothing it started outlives the test."""
    agent = Killable(valkey_url, pool_name, tmp_path)
    yield agent
    agent.kill()
    for noted in Registry(tmp_path / "workers.json").read().values():
        if start_time(noted.pid) == noted.started:
            os.killpg(noted.pid, signal.SIGKILL)


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
            if (reported := agent._reported) is None:
                return False
            ready = [dataclasses.replace(reported.workers[0], state=WorkerState.READY)]
            await ledger.report(dataclasses.replace(reported, workers=ready))
            epoch = await ledger.lead("test", 60_000)
            assert epoch is not None
            reply = await ledger.admit(epoch, await bed.job(job.id), ready[0], 0, 0, 3000)
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
    await ledger.report(agent._reported or pytest.fail("no report"))
    job = await bed.start({"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "p"}}})
    assert await ledger.next_order("host", 1.0) is not None
    async with running(make_agent(ledger, tmp_path, specs)):
        assert (await bed.until_ended(job.id)).state is JobState.SUCCEEDED
