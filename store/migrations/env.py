"""Alembic's entry: runs on the connection, and in the transaction, that ``store.migrate`` holds."""

from __future__ import annotations

from alembic import context

from store import history_schema, schema
from store.tables import metadata

#: whose tables are in the metadata
MODULES = (schema, history_schema)

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
