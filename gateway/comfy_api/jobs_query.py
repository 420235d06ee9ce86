"""What ``GET /api/jobs`` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.comfy_api.job_body import ENDED

UNFINISHED: Final = frozenset({"pending", "in_progress"})
_STATUSES: Final = UNFINISHED | frozenset(ENDED.values())
_SORTS: Final = ("created_at", "execution_duration")
_ORDERS: Final = ("desc", "asc")


@dataclass(frozen=True, slots=True)
class JobsQuery:
    """Filter, order and page."""

    statuses: frozenset[str]
    workflow_id: str | None
    sort_by: str
    descending: bool
    limit: int | None
    offset: int

    @property
    def by_duration(self) -> bool:
        """Sorted by how long jobs ran, not by when they were posted."""
        return self.sort_by == _SORTS[1]

    @property
    def question(self) -> str:
        """The same for queries that mean the same."""
        order = f"{self.sort_by} {self.descending} {self.limit} {self.offset}"
        return f"jobs {','.join(sorted(self.statuses))} {order} {self.workflow_id!r}"


def read_query(asked: Mapping[str, str]) -> JobsQuery | str:
    """The query, or what is wrong with it."""
    named = [part for part in asked.get("status", "").split(",") if part]
    if not set(named) <= _STATUSES:
        return f"status must be some of {', '.join(sorted(_STATUSES))}"
    sort_by, order = asked.get("sort_by", _SORTS[0]), asked.get("sort_order", _ORDERS[0])
    if sort_by not in _SORTS:
        return f"sort_by must be {' or '.join(_SORTS)}"
    if order not in _ORDERS:
        return f"sort_order must be {' or '.join(_ORDERS)}"
    try:
        limit = int(asked["limit"]) if "limit" in asked else None
        offset = int(asked.get("offset", "0"))
    except ValueError:
        return "limit and offset must be numbers"
    if offset < 0 or (limit is not None and limit < 1):
        return "limit must be at least 1 and offset at least 0"
    return JobsQuery(
        statuses=frozenset(named) or _STATUSES,
        workflow_id=asked.get("workflow_id"),
        sort_by=sort_by,
        descending=order == "desc",
        limit=limit,
        offset=offset,
    )
