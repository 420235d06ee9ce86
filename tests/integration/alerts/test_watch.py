"""Rules are looked at, what fires is in the store, whoever looks and whenever it was killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from dashboard.alerts.watch import Watch
from scheduler.budgets import SPENT_NOTE, Spent, encode_spent
from scheduler.memory_ledger import MemoryLedger
from scheduler.states import GpuState, Vitals, WorkerState
from store import alert_schema, history_schema, schema
from store.alerts import SqlAlerts
from tests.factories import gpu, new_job, report, worker
from tests.integration.alerts.conftest import Clock
from tests.integration.history.rows import attempt_row, fill, job_row, node_row

Make = Callable[..., Watch]


def hot(degrees: int) -> Any:
    card = gpu("host-gpu-0", "host", vitals=Vitals(temperature_c=degrees))
    return report(gpus=[card])


async def firing(alerts: SqlAlerts) -> list[tuple[str, str]]:
    return sorted((alert.rule, alert.subject) for alert in await alerts.firing())


async def test_what_stays_true_fires_and_ends(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    # nobody records here
    looking = watch(alerts={"rules": [{"name": "recorder_behind", "enabled": False}]})
    began = clock.ms
    for second in range(0, 61, 10):
        clock.ms = began + second * 1000
        await books_ledger.report(hot(95))
        assert await looking.look()
        assert (await firing(alerts) == []) == (second < 60)
    (alert,) = await alerts.firing()
    assert (alert.rule, alert.subject, alert.value, alert.threshold) == (
        "hot_gpu", "gpu:host-gpu-0", 95.0, 88.0,
    )  # fmt: skip
    assert (alert.began_ms, alert.since_ms) == (began, began + 60_000)
    assert alert.detail["gpu"] == "host-gpu-0"

    for _ in range(4):
        clock.ms += 10_000
        await books_ledger.report(hot(60))
        await looking.look()
    assert await firing(alerts) == []
    (past,) = await alerts.past(0, clock.ms)
    assert past.ended_ms is not None
    assert past.worst == 95.0


async def test_another_process_goes_on_where_one_was_killed(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    for second in range(7):
        await books_ledger.report(hot(95))
        # each look by a process of its own
        assert await watch().look()
        clock.ms += 10_000
        assert len(await alerts.firing()) == (second == 6)


async def test_of_two_that_look_at_once_only_one_writes(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    settings = {"alerts": {"rules": [{"name": "hot_gpu", "lasts": 0}]}}
    await books_ledger.report(hot(95))
    one, other = watch(**settings), watch(**settings)
    standing = await one._books.standing(clock.ms)
    assert await other.look()
    clock.ms += 1000
    look = await _stale_look(one, clock)
    assert not await one._books.write(look, standing.looked_ms)
    assert len(await alerts.firing()) == 1


async def _stale_look(one: Watch, clock: Clock) -> Any:
    from store.alert_books import Look

    return Look(now_ms=clock.ms, states=[], alerts=[], ended={}, rules=[], groups=[], messages=[])


async def test_only_one_of_several_has_the_duty(watch: Make, clock: Clock) -> None:
    one, other = watch(), watch()
    assert await one._duty.mine()
    assert not await other._duty.mine()
    clock.ms += 89_000
    assert await one._duty.mine()
    clock.ms += 89_000
    assert not await other._duty.mine()
    clock.ms += 2_000  # the first one has said nothing for too long
    assert await other._duty.mine()
    assert not await one._duty.mine()
    await other._duty.leave()
    clock.ms += 2
    assert await one._duty.mine()


async def test_a_slow_node_fires_for_its_user_unless_it_is_always_so_slow(
    engine: AsyncEngine, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    now = clock.ms
    past = [f"past{n}" for n in range(5)]
    before = [(name, now - 3_600_000 - 60_000 * n) for n, name in enumerate(past)]
    await fill(engine, schema.jobs, [job_row(name, ended) for name, ended in before])
    runs = []
    for name, ended in before:
        runs += [
            node_row(name, ended - 8000, node="3", class_type="KSampler", seconds=20.0),
            node_row(name, ended - 1500, node="8", class_type="VAEDecode", seconds=1.2),
        ]
    await fill(engine, schema.jobs, [job_row("slow", now - 1000)])
    runs += [
        node_row("slow", now - 35_000, node="3", class_type="KSampler", seconds=21.0),
        node_row(
            "slow", now - 14_000, node="8", class_type="VAEDecode", seconds=12.0, fallback="tiled"
        ),
    ]
    await fill(engine, history_schema.node_runs, runs)

    await watch().look()

    (alert,) = await alerts.firing()
    assert (alert.rule, alert.subject, alert.user_name) == ("slow_node", "node:VAEDecode", "ann")
    assert alert.group_name == "film"
    assert (alert.value, alert.threshold) == (12.0, 5.0)
    assert alert.detail["job"] == "slow"
    assert "fell back to tiles" in alert.detail["text"]
    assert [one.id for one in await alerts.firing("ann")] == [alert.id]
    assert await alerts.firing("bob") == []
    sight = {one.rule: one for one in await alerts.rules()}["slow_node"]
    assert (sight.value, sight.firing) == (12.0, 1)

    # it is told for ten minutes, then it is over
    clock.ms += 11 * 60_000
    await watch().look()
    assert await firing(alerts) == []


async def test_loading_models_makes_no_node_slow(
    engine: AsyncEngine, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    await fill(engine, schema.jobs, [job_row("cold", clock.ms)])
    await fill(
        engine,
        history_schema.node_runs,
        [node_row("cold", clock.ms - 9000, node="3", seconds=8.0)],
    )
    move = {
        "worker": "host-0", "boot": "b", "seq": 1, "at_ms": clock.ms - 4000, "job_id": "cold",
        "attempt": 1, "user_name": "ann", "node": "3", "what": "load", "model": "SDXL",
        "bytes": 1, "loaded_bytes": 1, "seconds": 5.0,
    }  # fmt: skip
    await fill(engine, history_schema.model_moves, [move])
    await watch().look()
    assert await firing(alerts) == []


async def test_memory_that_ran_out_and_estimates_that_were_short_are_the_users(
    engine: AsyncEngine, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    gib = 2**30
    await fill(
        engine,
        schema.jobs,
        [
            job_row("oom", clock.ms - 1000, ooms=1),
            job_row("short", clock.ms - 2000, user_name="bob", peak_bytes=6 * gib),
            job_row("fine", clock.ms - 3000, user_name="cid"),
        ],
    )
    await watch().look()
    found = sorted((alert.rule, alert.user_name) for alert in await alerts.firing())
    assert found == [("estimate_under", "bob"), ("out_of_memory", "ann")]


async def test_a_silent_host_is_one_alert_and_its_workers_none(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    down = [worker("host-0", "host-gpu-0", state=WorkerState.DOWN, detail="crashed")]
    for _ in range(14):
        await books_ledger.report(report(workers=down))
        await watch().look()
        clock.ms += 10_000
    assert await firing(alerts) == [("worker_down", "worker:host-0")]
    assert [one.count for one in await alerts.counts()] == [1]

    for _ in range(5):  # now the whole host says nothing
        clock.ms += 10_000
        await watch().look()
    found = {alert.rule: alert.muted for alert in await alerts.firing()}
    assert found == {"worker_down": "behind:agent_silent", "agent_silent": ""}
    assert [(one.rule, one.count) for one in await alerts.counts()] == [("agent_silent", 1)]


async def test_a_drained_worker_may_be_down(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    await books_ledger.override({"drain.host": "true"})
    down = [worker("host-0", "host-gpu-0", state=WorkerState.DOWN)]
    for _ in range(20):
        await books_ledger.report(report(workers=down))
        await watch().look()
        clock.ms += 10_000
    assert await firing(alerts) == []


async def test_a_suspect_gpu_a_full_one_and_a_long_wait_fire(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    gib = 2**30
    await books_ledger.submit(new_job("ann", group="film"), b"{}", max_queued=None)
    cards = [
        gpu("bad", "host", state=GpuState.SUSPECT, vitals=Vitals(trouble="NVML is away")),
        gpu("full", "host", used_bytes=24 * gib - gib // 8),
    ]
    for _ in range(63):
        await books_ledger.report(report(gpus=cards, workers=[]))
        await watch().look()
        clock.ms += 10_000
    found = {(alert.rule, alert.subject): alert for alert in await alerts.firing()}
    assert set(found) == {
        ("gpu_suspect", "gpu:bad"), ("low_headroom", "gpu:full"), ("long_wait", "user:ann"),
    }  # fmt: skip
    assert "NVML is away" in found["gpu_suspect", "gpu:bad"].detail["text"]
    assert found["long_wait", "user:ann"].user_name == "ann"
    assert found["long_wait", "user:ann"].group_name == "film"


async def test_budgets_and_scoped_rules(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    spent = Spent(
        month="2027-01", users={"ann": 11 * 3_600_000_000}, groups={"film": 90 * 3_600_000_000}
    )
    await books_ledger.note(SPENT_NOTE, encode_spent(spent), 3_600_000)
    users = [{"name": "ann", "group": "film", "budget": 10, "budget_soft": 8}]
    groups = [{"name": "film", "budget": 100}]
    rules = [
        {
            "name": "film_soon", "kind": "budget", "limit": "80%", "groups": ["film"],
            "subjects": ["group:*"], "labels": ["team=film"], "severity": "critical",
        }
    ]  # fmt: skip
    await watch(users=users, groups=groups, alerts={"rules": rules}).look()
    found = {(alert.rule, alert.subject): alert for alert in await alerts.firing()}
    assert set(found) == {
        ("budget_used_up", "user:ann"), ("budget_passed", "user:ann"), ("film_soon", "group:film"),
    }  # fmt: skip
    assert found["budget_passed", "user:ann"].muted == "behind:budget_used_up"
    assert found["film_soon", "group:film"].severity == "critical"
    assert found["film_soon", "group:film"].detail["labels"] == {"team": "film"}


async def test_failing_jobs_fire_for_the_pool_and_the_worker(
    engine: AsyncEngine, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    rows = [
        job_row(f"bad{n}", clock.ms - n, state="FAILED", reason="node_error", worker="host-1")
        for n in range(6)
    ]
    rows += [job_row(f"good{n}", clock.ms - n, worker="host-0") for n in range(6)]
    await fill(engine, schema.jobs, rows)
    looking = watch()
    for _ in range(7):
        await looking.look()
        clock.ms += 10_000
    assert await firing(alerts) == [("failing_jobs", "pool"), ("failing_jobs", "worker:host-1")]


async def test_a_recorder_that_is_behind_fires(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    await books_ledger.submit(new_job(), b"{}", max_queued=None)
    looking = watch()
    for _ in range(13):
        await looking.look()
        clock.ms += 10_000
    assert ("recorder_behind", "recorder") in await firing(alerts)


async def test_a_silence_mutes_and_its_end_unmutes(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    settings = {"alerts": {"rules": [{"name": "hot_gpu", "lasts": 0}]}}
    await books_ledger.report(hot(95))
    silence = await alerts.silence("hot_*", "gpu:*", clock.ms + 60_000, "ada", "new paste comes")
    await watch(**settings).look()
    (alert,) = await alerts.firing()
    assert alert.muted == f"silence:{silence.id}"
    clock.ms += 5_000
    ended = await alerts.end_silence(silence.id)
    assert ended is not None
    assert await alerts.end_silence(silence.id) is None
    clock.ms += 5_000
    await books_ledger.report(hot(95))
    await watch(**settings).look()
    assert [alert.muted for alert in await alerts.firing()] == [""]


async def test_a_rule_that_is_switched_off_ends_what_it_told(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    await books_ledger.report(hot(95))
    await watch(alerts={"rules": [{"name": "hot_gpu", "lasts": 0}]}).look()
    assert len(await alerts.firing()) == 1
    clock.ms += 1000
    await watch(alerts={"rules": [{"name": "hot_gpu", "enabled": False}]}).look()
    assert await alerts.firing() == []
    sight = {one.rule: one for one in await alerts.rules()}["hot_gpu"]
    assert not sight.enabled


async def test_a_clock_that_was_set_back_stops_nobody(
    books_ledger: MemoryLedger, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    assert await watch().look()
    clock.ms -= 3_600_000
    assert await watch().look()
    assert await watch().look()


async def test_messages_are_written_with_the_look(
    books_ledger: MemoryLedger, engine: AsyncEngine, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    hook = {"name": "ops", "url": "http://127.0.0.1:9/x", "secret": "0123456789abcdef"}
    settings = {
        "alerts": {
            "rules": [{"name": "hot_gpu", "lasts": 0}], "webhooks": [hook], "group_wait": 15,
        }
    }  # fmt: skip
    counts = []
    for _ in range(3):
        await books_ledger.report(hot(95))
        await watch(**settings).look()
        counts.append(len(await alerts.messages()))
        clock.ms += 10_000
    assert counts == [0, 0, 1]
    (message,) = await alerts.messages()
    assert message.receiver == "ops"
    assert '"hot_gpu"' in message.body
    assert await _rows(engine) == 1


async def _rows(engine: AsyncEngine) -> int:
    from sqlalchemy import func, select

    async with engine.connect() as connection:
        return int(
            await connection.scalar(select(func.count()).select_from(alert_schema.alert_groups))
            or 0
        )


async def test_attempts_alone_are_no_job(
    engine: AsyncEngine, watch: Make, alerts: SqlAlerts, clock: Clock
) -> None:
    await fill(engine, schema.attempts, [attempt_row("j", clock.ms, reason="oom")])
    await watch().look()
    assert await firing(alerts) == []
