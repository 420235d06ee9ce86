"""Removes a user from the store: what is the user's goes, what is the pool's loses the name.

Sums stay exact without saying whose they were: they are kept under ``NOBODY``.
"""

from __future__ import annotations

import json
import uuid
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from store import advice_schema, alert_schema, schema
from store import history_schema as history
from store.accounts import USAGE_MARK
from store.engine import writing
from store.upsert import upsert

#: In place of a forgotten user's name; no user can have it.
NOBODY: Final = "(forgotten)"
#: Rows of these are the user's own.
_OWN: Final[tuple[Table, ...]] = (
    history.node_runs,
    history.prompt_runs,
    history.model_moves,
    schema.files,
    schema.input_files,
    schema.user_settings,
    schema.userdata,
    schema.hidden,
    history.alerts,
)
#: Of these, rows that usage is still made of stay, without a name and a text.
_COUNTED: Final[tuple[Table, ...]] = (schema.attempts, schema.jobs)
_NO_TEXTS: Final = {"prompt": None, "result": None, "prompt_id": "", "client_id": None}
_SUMS: Final = ("gpu_us", "byte_ms", "cost_us", "energy_mj", "jobs", "failed", "wait_ms")


async def forget_user(engine: AsyncEngine, user: str) -> dict[str, int]:
    """Remove everything that says anything about this user.

    One transaction: a store that fails half-way has forgotten nothing.

    Returns:
        Rows deleted, by table; only tables that had any.
    """
    gone: dict[str, int] = {}
    async with writing(engine) as connection:
        for table in _OWN:
            done = await connection.execute(delete(table).where(table.c.user_name == user))
            if done.rowcount:
                gone[table.name] = done.rowcount
        gone |= await _forget_jobs(connection, user)
        await _merge(connection, history.usage, user, _SUMS, history.usage.c.user_name == user)
        mine = history.waits.c.user_name == user
        await _merge(connection, history.waits, user, ("job_ms",), mine)
        await _blockers(connection, user)
        await _holders(connection, user)
        # answers name users: they can be asked for again
        await connection.execute(delete(history.what_ifs))
        await _forget_advice(connection, user)
        await _forget_deeds(connection, user)
        await _forget_alerts(connection, user)
    return gone


async def _forget_alerts(connection: AsyncConnection, user: str) -> None:
    """What is true of the user now, and what others were told of that; names have no wildcards."""
    subject = f"user:{user}"
    states, groups = alert_schema.alert_states.c, alert_schema.alert_groups.c
    messages, silences = alert_schema.alert_messages.c, history.silences
    for table, about in (
        (alert_schema.alert_states, or_(states.user_name == user, states.subject == subject)),
        (alert_schema.alert_rules, alert_schema.alert_rules.c.subject == subject),
        (alert_schema.alert_groups, _names(groups.name, f"user={user}", f"subject={subject}")),
        (
            alert_schema.alert_messages,
            or_(*(messages.body.contains(f'"{one}"', autoescape=True) for one in (user, subject))),
        ),
    ):
        await connection.execute(delete(table).where(about))
    for column, name, nobody in (
        (silences.c.by_user, user, NOBODY),
        (silences.c.subject, subject, f"user:{NOBODY}"),
    ):
        wanted = update(silences).where(column == name)
        await connection.execute(wanted.values({column.name: nobody}))


def _names(column: Any, *words: str) -> ColumnElement[bool]:
    """Whether a list that is parted by commas has one of these."""
    return or_(
        *(
            or_(column == word, column.contains(f"{word}, "), column.endswith(f", {word}"))
            for word in words
        )
    )


async def _forget_advice(connection: AsyncConnection, user: str) -> None:
    """Advice that names the user goes: what still holds is found again without it."""
    advice, users = advice_schema.advice, advice_schema.advice_users
    dismissals = advice_schema.advice_dismissals
    # names have no character that JSON escapes
    named = advice.c.body.contains(f'"{user}"', autoescape=True)
    concerned = select(users.c.advice_id).where(users.c.user_name == user)
    await connection.execute(delete(advice).where(or_(named, advice.c.id.in_(concerned))))
    await connection.execute(delete(users).where(users.c.user_name == user))
    await connection.execute(delete(dismissals).where(dismissals.c.scope == user))
    by = dismissals.c.by_user == user
    await connection.execute(update(dismissals).where(by).values(by_user=NOBODY))


async def _forget_jobs(connection: AsyncConnection, user: str) -> dict[str, int]:
    marks = history.marks.c
    final = await connection.scalar(select(marks.at_ms).where(marks.name == USAGE_MARK)) or 0
    gone = {}
    for table in _COUNTED:
        mine = table.c.user_name == user
        done = await connection.execute(delete(table).where(mine, table.c.ended_ms < final))
        texts = _NO_TEXTS if table is schema.jobs else {}
        left = await connection.execute(update(table).where(mine).values(user_name=NOBODY, **texts))
        if done.rowcount or left.rowcount:
            gone[table.name] = done.rowcount + left.rowcount
    return gone


async def _forget_deeds(connection: AsyncConnection, user: str) -> None:
    """What the user did and what was done to it stays in the audit log, under no name.

    Ids change too: those of looks are made of who looked at what.
    """
    audit = history.audit.c
    whose = audit.detail.contains(json.dumps({"user": user})[1:-1], autoescape=True)
    about = or_(
        whose,
        audit.subject == f"user:{user}",
        audit.subject.startswith(f"limit:users.{user}.", autoescape=True),
    )
    found = await connection.execute(
        select(audit.id, audit.by_user, audit.subject, about.label("about")).where(
            or_(audit.by_user == user, about)
        )
    )
    for row in found.all():
        kind = row.subject.partition(":")[0]
        await connection.execute(
            update(history.audit)
            .where(audit.id == row.id)
            .values(
                id=uuid.uuid4().hex,
                by_user=NOBODY if row.by_user == user else row.by_user,
                subject=f"{kind}:{NOBODY}" if row.about else row.subject,
                detail="{}",
            )
        )


async def _merge(
    connection: AsyncConnection,
    table: Table,
    user: str,
    sums: tuple[str, ...],
    those: ColumnElement[bool],
) -> None:
    """Add the user's rows to those of nobody in particular."""
    keys = [column for column in table.primary_key if column.name != "user_name"]
    both = table.c.user_name.in_((user, NOBODY))
    wanted = (
        select(*keys, *(func.sum(table.c[name]).label(name) for name in sums))
        .where(both)
        .group_by(*keys)
    )
    found: Any = (await connection.execute(wanted)).mappings().all()
    rows = [
        {**{key.name: row[key.name] for key in keys}, "user_name": NOBODY}
        | {name: int(row[name]) for name in sums}
        for row in found
    ]
    await connection.execute(delete(table).where(those))
    await upsert(connection, table, rows)


async def _blockers(connection: AsyncConnection, user: str) -> None:
    """Others' jobs waited for something of the user's: they still waited."""
    waits = history.waits
    both = waits.c.blocker.in_((f"user:{user}", f"user:{NOBODY}"))
    keys = (waits.c.step_s, waits.c.at_ms, waits.c.user_name, waits.c.reason)
    wanted = select(*keys, func.sum(waits.c.job_ms).label("job_ms")).where(both).group_by(*keys)
    found: Any = (await connection.execute(wanted)).mappings().all()
    rows = [{**row, "job_ms": int(row["job_ms"]), "blocker": f"user:{NOBODY}"} for row in found]
    await connection.execute(delete(waits).where(waits.c.blocker == f"user:{user}"))
    await upsert(connection, waits, rows)


async def _holders(connection: AsyncConnection, user: str) -> None:
    """Curves of GPUs keep what was held, and not by whom. Names have no character that JSON escapes."""
    holders = history.gpu_samples.c.holders
    name = f',"{user}",'
    await connection.execute(
        update(history.gpu_samples)
        .where(holders.contains(name, autoescape=True))
        .values(holders=func.replace(holders, name, f',"{NOBODY}",'))
    )
