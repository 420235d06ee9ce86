"""What all tables share: their registry, and text that any database takes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Dialect, MetaData, Text, TypeDecorator


def storable(text: str) -> str:
    """A text as it is kept: without what PostgreSQL or UTF-8 cannot hold."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class Words(TypeDecorator[str]):
    """Text that any database takes: clients may send NUL and lone surrogates in their names."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what PostgreSQL or UTF-8 cannot hold."""
        return None if value is None else storable(value)


metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
