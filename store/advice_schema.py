"""Tables of advice: what was found, whom it concerns, and who wants to hear no more of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Table

from store.tables import Words, metadata

#: One row for each thing that was ever found; its id is the same whenever it is found again.
advice: Final = Table(
    "advice",
    metadata,
    Column("id", Words, primary_key=True),
    Column("kind", Words, nullable=False),
    # since when it has been found without a break, and when last
    Column("since_ms", BigInteger, nullable=False),
    Column("found_ms", BigInteger, nullable=False),
    # NULL: it still holds; else since when it has not been found any more
    Column("ended_ms", BigInteger),
    # place in the list, the least first
    Column("place", BigInteger, nullable=False),
    # seconds a day, and their bounds in 90 % of cases
    Column("gain", Float, nullable=False),
    Column("gain_low", Float, nullable=False),
    Column("gain_high", Float, nullable=False),
    # JSON object: all the rest
    Column("body", Words, nullable=False),
    Index(None, "ended_ms"),
)

#: Whose jobs it concerns. Nobody: it is the admins'.
advice_users: Final = Table(
    "advice_users",
    metadata,
    Column("advice_id", Words, primary_key=True),
    Column("user_name", Words, primary_key=True),
    Index(None, "user_name"),
    sqlite_with_rowid=False,
)

#: No foreign key: a dismissal outlives the advice, which may come back.
advice_dismissals: Final = Table(
    "advice_dismissals",
    metadata,
    Column("advice_id", Words, primary_key=True),
    # for whom it is dismissed: a user, "": all admins
    Column("scope", Words, primary_key=True),
    Column("by_user", Words, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("why", Words, nullable=False),
    # what was to be gained then, seconds a day
    Column("gain", Float, nullable=False),
    sqlite_with_rowid=False,
)
