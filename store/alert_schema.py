"""Tables that whoever looks at alert rules works with; ``history_schema`` has what came of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table

from store.tables import Words, metadata


def _key(name: str) -> Column[str]:
    return Column(name, Words, primary_key=True, autoincrement=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


#: What is true now and has not fired yet, and what fires: as it was at the last look.
alert_states: Final = Table(
    "alert_states",
    metadata,
    _key("rule"),
    _key("subject"),
    _key("user_name"),
    # pending, firing
    Column("phase", Words, nullable=False),
    # true since then; when it fired (0: not yet); when it was last true
    _number("since_ms"),
    _number("fired_ms"),
    _number("true_ms"),
    # its row in ``alerts``, "" while pending
    Column("alert", Words, nullable=False),
    Column("value", Float, nullable=False),
    Column("worst", Float, nullable=False),
    sqlite_with_rowid=False,
)

#: Each rule as it was at the last look: its figure that is nearest to the limit.
alert_rules: Final = Table(
    "alert_rules",
    metadata,
    _key("rule"),
    _number("at_ms"),
    # NULL: there is nothing that it could be about
    Column("value", Float),
    Column("subject", Words, nullable=False),
    Column("threshold", Float, nullable=False),
    # things that it looked at, that are pending, that fire
    Column("seen", Integer, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("firing", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("severity", Words, nullable=False),
    sqlite_with_rowid=False,
)

#: What each receiver was told of each group of alerts.
alert_groups: Final = Table(
    "alert_groups",
    metadata,
    _key("receiver"),
    _key("name"),
    _number("since_ms"),
    # 0: nothing yet
    _number("told_ms"),
    # JSON list of the alerts that were told as firing and not as over
    Column("told", Words, nullable=False),
    sqlite_with_rowid=False,
)

#: Messages to be sent, and those that were: an RQ job works through them.
alert_messages: Final = Table(
    "alert_messages",
    metadata,
    _key("id"),
    Column("receiver", Words, nullable=False),
    _number("made_ms"),
    # tried no sooner
    _number("next_ms"),
    Column("tries", Integer, nullable=False),
    # NULL: not yet
    Column("done_ms", BigInteger),
    # sent, given_up; "": neither
    Column("result", Words, nullable=False),
    # why the last try failed
    Column("error", Words, nullable=False),
    # JSON object, as it is sent
    Column("body", Words, nullable=False),
    Index(None, "done_ms", "next_ms"),
    Index(None, "made_ms"),
)
