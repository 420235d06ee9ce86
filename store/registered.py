"""All modules with tables: importing this one makes ``tables.metadata`` complete."""

from __future__ import annotations

from typing import Final

from store import advice_schema, alert_schema, history_schema, schema

MODULES: Final = (schema, history_schema, alert_schema, advice_schema)
