"""What an admin would change about a recorded time: checked where it comes in."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Few = Annotated[int, Meta(ge=1, le=16)]
_Jobs = Annotated[int, Meta(ge=1, le=10_000)]
#: bytes of a GPU: 1 GiB to 1 TiB
_Vram = Annotated[int, Meta(ge=2**30, le=2**40)]


class MoreGpus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GPUs like one that there was, with as many workers."""

    like: _Name
    count: _Few = 1


class Limit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Of a user or a group; null takes a limit away, what is missing stays."""

    max_running: _Jobs | UnsetType | None = UNSET
    weight: Annotated[float, Meta(gt=0, le=1000)] | UnsetType = UNSET
    vram_share: Annotated[float, Meta(gt=0, le=1)] | UnsetType | None = UNSET


class Numbers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The scheduler's, as in the settings of the same names."""

    window: Annotated[int, Meta(ge=1, le=1024)] | UnsetType = UNSET
    max_skips: Annotated[int, Meta(ge=0, le=100_000)] | UnsetType = UNSET
    aging: Annotated[float, Meta(gt=0, le=1e6)] | UnsetType = UNSET
    strict_order: bool | UnsetType = UNSET
    cold_loads: _Few | UnsetType = UNSET
    preemption: bool | UnsetType = UNSET
    max_running: _Jobs | UnsetType | None = UNSET


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of it at once."""

    more_gpus: tuple[MoreGpus, ...] = ()
    #: GPU → bytes
    vram: dict[_Name, _Vram] = {}
    workers_per_gpu: _Few | None = None
    users: dict[_Name, Limit] = {}
    groups: dict[_Name, Limit] = {}
    scheduler: Numbers = Numbers()


class WrongChange(Exception):
    """It cannot be read; the message says where."""


#: Entries of one list at most.
_MOST: Final = 200


def read_change(value: Any) -> Change:
    """From decoded JSON.

    Raises:
        WrongChange: an unknown name, or a value out of bounds.
    """
    try:
        change = msgspec.convert(value, Change)
    except msgspec.ValidationError as error:
        raise WrongChange(f"{error}") from error
    parts = (change.more_gpus, change.vram, change.users, change.groups)
    if any(len(part) > _MOST for part in parts):
        raise WrongChange(f"at most {_MOST} of a kind can be changed at once")
    return change


def nothing(change: Change) -> bool:
    """Whether it changes nothing at all."""
    return change == Change()
