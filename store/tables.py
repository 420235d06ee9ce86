"""What all tables share: their registry, and text that any database takes."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Dialect, MetaData, Text, TypeDecorator


class Words(TypeDecorator[str]):
    """Text that any database takes: clients may send NUL and lone surrogates in their names."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what PostgreSQL or UTF-8 cannot hold."""
        if value is None:
            return None
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
