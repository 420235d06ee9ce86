"""Throughput and memory of the Redis ledger: ``python -m bench.ledger [--json] [--url URL]``.

Without ``--url`` it starts an embedded server in a temporary folder. Rates are
whole calls from one Python process (client included); ``admit_server_us`` is
what one admission costs the server itself, which bounds the pool.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cli.valkey import EmbeddedValkey
from scheduler.ledger import Admitted, Ending, Grant, Outcome, Report
from scheduler.redis_ledger import RedisLedger
from scheduler.states import (
    Agent,
    Gpu,
    GpuState,
    Job,
    Lane,
    MemorySource,
    NewJob,
    Worker,
    WorkerState,
)

#: calls in flight at once, as from a busy gateway
_CONCURRENT = 16
#: of one typical prompt (design: 2 KiB a queued job beside its prompt)
_PROMPT = b'{"1": {"class_type": "KSampler", "inputs": {}}}' * 60
_LEASE_MS = 600_000
_GRANT = Grant(
    bytes=8 * 2**30,
    capacity_bytes=20 * 2**30,
    seconds=12.5,
    load_seconds=2.0,
    user_charge=5_000_000,
    group_charge=5_000_000,
)


def _job(n: int) -> NewJob:
    job_id = str(uuid.uuid4())
    return NewJob(
        id=job_id,
        user=f"user-{n % 50}",
        group="default",
        prompt_id=job_id,
        client_id=str(uuid.uuid4()),
        lane=Lane.INTERACTIVE,
        front=False,
        fingerprint=secrets.token_hex(16),
        models=("checkpoints/sd_xl_base_1.0.safetensors", "loras/style_a.safetensors"),
        need_bytes=8 * 2**30,
        need_seconds=12.5,
        needs_gpu=True,
    )


def _report(count: int) -> Report:
    gpus = [
        Gpu(
            id=f"gpu-{n}",
            agent="host",
            index=n,
            name="bench",
            total_bytes=24 * 2**30,
            used_bytes=0,
            foreign_bytes=0,
            state=GpuState.READY,
            memory_source=MemorySource.NVML,
        )
        for n in range(count)
    ]
    workers = [
        Worker(
            id=f"host-{n}",
            agent="host",
            gpu=f"gpu-{n}",
            state=WorkerState.READY,
            used_bytes=0,
            models=(),
        )
        for n in range(count)
    ]
    agent = Agent(id="host", url="http://127.0.0.1:1", version="1", heartbeat_ms=0)
    return Report(agent=agent, workers=workers, gpus=gpus)


async def _rate(items: Sequence[Any], call: Callable[[Any], Awaitable[Any]]) -> float:
    """Calls per second with a few in flight."""
    waiting = iter(items)

    async def drain() -> None:
        for item in waiting:
            await call(item)

    start = time.perf_counter()
    await asyncio.gather(*(drain() for _ in range(_CONCURRENT)))
    return len(items) / (time.perf_counter() - start)


async def _one_by_one(
    pairs: Sequence[tuple[Job, Worker]], admit: Callable[[tuple[Job, Worker]], Awaitable[None]]
) -> dict[str, float]:
    """Round trips of single admissions, as the scheduler's loop makes them."""
    spent_ms = []
    for pair in pairs:
        begun = time.perf_counter()
        await admit(pair)
        spent_ms.append(1000 * (time.perf_counter() - begun))
    cuts = statistics.quantiles(spent_ms, n=100)
    return {"admit_ms_p50": cuts[49], "admit_ms_p99": cuts[98]}


async def _server_us(ledger: RedisLedger) -> tuple[int, float]:
    """Script calls so far and the microseconds the server spent in them."""
    stats = await ledger.server.command("INFO", "commandstats")
    evalsha = stats.get("cmdstat_evalsha", {"calls": 0, "usec": 0})
    return int(evalsha["calls"]), float(evalsha["usec"])


async def measure(url: str, count: int) -> dict[str, float]:
    """Run ``count`` jobs through submit, admit, claim and settle on a fresh pool."""
    ledger = RedisLedger.connect(url, f"bench-{secrets.token_hex(4)}", heartbeat_ms=_LEASE_MS)
    jobs = [_job(n) for n in range(count)]
    await ledger.submit(_job(0), _PROMPT, max_queued=None)  # loads the script
    before = (await ledger.server.command("INFO", "memory"))["used_memory"]
    figures = {
        "submits_per_s": await _rate(jobs, lambda job: ledger.submit(job, _PROMPT, max_queued=None))
    }
    after = (await ledger.server.command("INFO", "memory"))["used_memory"]
    stream = await ledger.server.command("MEMORY USAGE", ledger.keys.events)
    sizes = [
        await ledger.server.command("MEMORY USAGE", ledger.keys("prompt", job.id))
        for job in jobs[:20]
    ]
    figures["bytes_per_queued_job"] = (after - before - stream) / count - sum(sizes) / len(sizes)

    await ledger.report(_report(count))
    epoch = await ledger.lead("bench", _LEASE_MS)
    if epoch is None:
        raise RuntimeError("another scheduler leads the bench's own pool")
    workers = list((await ledger.pool()).workers.values())
    queued = [job for job in await ledger.jobs([job.id for job in jobs]) if job]

    async def admit(pair: tuple[Job, Worker]) -> None:
        reply = await ledger.admit(epoch, *pair, _GRANT, _LEASE_MS)
        if not isinstance(reply, Admitted):
            raise RuntimeError(f"admission refused: {reply}")

    pairs = list(zip(queued, workers, strict=True))
    alone = len(pairs) // 5
    figures |= await _one_by_one(pairs[:alone], admit)
    calls, spent = await _server_us(ledger)
    figures["admits_per_s"] = await _rate(pairs[alone:], admit)
    calls_after, spent_after = await _server_us(ledger)
    figures["admit_server_us"] = (spent_after - spent) / (calls_after - calls)
    figures["claims_per_s"] = await _rate(
        pairs, lambda pair: ledger.claim(pair[0].id, 1, pair[1].id, "uuid", "sid", _LEASE_MS)
    )
    outcome = Outcome(ending=Ending.SUCCEEDED, result=b'{"outputs": {}}')
    figures["settles_per_s"] = await _rate(queued, lambda job: ledger.settle(job.id, 1, outcome))
    await ledger.close()
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a server to measure; default: an embedded one")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    with ExitStack() as stack:
        url = options.url
        if url is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vramgate-")))
            url = stack.enter_context(EmbeddedValkey(folder)).url
        figures = asyncio.run(measure(url, options.jobs))
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value:12,.3f}")


if __name__ == "__main__":
    main()
