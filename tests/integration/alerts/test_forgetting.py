"""Of a user who is forgotten nothing is left in what alerts are looked at and told with."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from store import alert_schema, history_schema
from store.forgetting import forget_user
from store.tables import metadata
from tests.integration.history.rows import alert_row, fill


async def test_nothing_names_a_forgotten_user(engine: AsyncEngine) -> None:
    def state(user: str, subject: str) -> dict[str, Any]:
        return {
            "rule": "r", "subject": subject, "user_name": user, "phase": "pending", "since_ms": 1,
            "fired_ms": 0, "true_ms": 1, "alert": "", "value": 1.0, "worst": 1.0,
        }  # fmt: skip

    def group(name: str) -> dict[str, Any]:
        return {"receiver": "ops", "name": name, "since_ms": 1, "told_ms": 1, "told": "[]"}

    def message(number: int, user: str) -> dict[str, Any]:
        return {
            "id": f"m{number}", "receiver": "ops", "made_ms": 1, "next_ms": 1, "tries": 0,
            "done_ms": None, "result": "", "error": "",
            "body": f'{{"firing":[{{"user":"{user}","subject":"user:{user}"}}]}}',
        }  # fmt: skip

    def silence(number: int, by: str, subject: str) -> dict[str, Any]:
        return {
            "id": f"s{number}", "rule": "*", "subject": subject, "from_ms": 1, "until_ms": 2,
            "by_user": by, "why": "w",
        }  # fmt: skip

    users = ("ann", "annabel")
    rows = [alert_row(f"a{n}", 1, user_name=user) for n, user in enumerate(users)]
    await fill(engine, history_schema.alerts, rows)
    rows = [state(user, subject) for user in users for subject in (f"user:{user}", "node:X")]
    await fill(engine, alert_schema.alert_states, rows)
    names = [f"user={user}" for user in users] + [f"rule=r, user={user}" for user in users]
    await fill(engine, alert_schema.alert_groups, [group(name) for name in names])
    rows = [message(number, user) for number, user in enumerate(users)]
    await fill(engine, alert_schema.alert_messages, rows)
    rows = [silence(n, user, f"user:{user}") for n, user in enumerate(users)]
    await fill(engine, history_schema.silences, rows)

    await forget_user(engine, "ann")

    told = []
    async with engine.connect() as connection:
        for table in metadata.sorted_tables:
            found: Any = (await connection.execute(select(table))).mappings().all()
            told += [str(dict(row)) for row in found]
    assert not [row for row in told if "ann" in row.replace("annabel", "")]
    # the other one's are all there
    assert len([row for row in told if "annabel" in row]) == 1 + 2 + 2 + 1 + 1
