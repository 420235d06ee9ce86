"""A store of each kind, with its tables."""

from __future__ import annotations

from tests.day import day as day
from tests.day import day_file as day_file
from tests.integration.history.conftest import engine as engine
from tests.integration.store.databases import postgres_socket as postgres_socket
from tests.integration.store.databases import store_url as store_url
