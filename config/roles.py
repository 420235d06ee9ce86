"""Roles of users."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a user may do."""

    ARTIST = "artist"
    ADMIN = "admin"
    VIEWER = "viewer"
