"""A quarter of an hour of the studio's day, with one gateway killed: every prompt is accounted for."""

from __future__ import annotations

import pytest

from bench.soak import Options, run


@pytest.mark.slow
async def test_every_prompt_of_a_short_soak_is_accounted_for() -> None:
    options = Options(
        hours=0.25,
        speedup=100,
        gateways=2,
        artists=8,
        scripts=2,
        deaf=1,
        gpus=1,
        kills=1,
        seed=3,
    )
    report = await run(options)
    jobs = report["jobs"]
    assert jobs["told"] == []
    assert report["drained"]
    assert jobs["posted"] == jobs["succeeded"] + jobs["cancelled"] > 0
    assert jobs["pictures_seen"] == jobs["succeeded"]
    assert jobs["done"]["kills"] == 1
    assert {"gateway-1", "gateway-2", "agent", "valkey"} <= set(report["memory"]["processes_mib"])
