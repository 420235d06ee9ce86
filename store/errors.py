"""The store's errors: one tree.

StoreError
├── UnknownStore    the URL names no database that we speak
├── BadPath         a document's path leaves its user's folder
├── StoreFull       the database's disk is full
├── BrokenCopy      a backup's database is damaged
└── NewerStore      the database belongs to a newer release
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors of the SQL store."""


class UnknownStore(StoreError):
    """``store.url`` names neither SQLite nor PostgreSQL."""


class BadPath(StoreError, ValueError):
    """Nothing may be written there."""


class StoreFull(StoreError, OSError):
    """The database's disk is full: make room, nothing was written.

    An ``OSError``, so that whoever waits for a store that is away waits for this one, too.
    """


class BrokenCopy(StoreError):
    """A backup's database cannot be used: take another backup."""


class NewerStore(StoreError):
    """This release does not understand the database any more: install the newer one."""
