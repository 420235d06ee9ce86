"""Who may not even queue a prompt, and how that is said. Pure.

Only an admin's limits refuse here, and proof: a workflow that ran out of memory twice
alone on a GPU is refused while there is no larger one. One that is merely estimated to be
too large is queued: estimates are wrong at times, and the scheduler has the facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from config.settings import Role, Settings
from gateway.errors import reply
from scheduler.estimate import Estimate
from scheduler.ledger import Pool

_GIB: Final = 2**30
#: profiles keep shares to four digits
_ROUNDING: Final = 0.001


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no acceptance, in ComfyUI's error shape."""

    status: int
    type: str
    message: str
    details: str = ""
    #: figures for programs
    extra_info: dict[str, Any] | None = None

    def reply(self) -> web.Response:
        """The HTTP answer."""
        return reply(
            self.status,
            self.type,
            self.message,
            details=self.details,
            extra_info=self.extra_info,
        )


def refuse_role(role: Role) -> Refusal | None:
    """A viewer looks; it submits nothing."""
    if role is not Role.VIEWER:
        return None
    return Refusal(
        403,
        "viewer_may_not_submit",
        "Viewers may not queue prompts",
        "Ask the admin for the role artist.",
    )


def max_queued(settings: Settings, user: str, group: str) -> int | None:
    """Most unfinished prompts of this user: its own limit, else its group's; None: no limit."""
    own = settings.user(user)
    if own is not None and own.max_queued is not None:
        return own.max_queued
    return settings.group(group).max_queued


def max_bytes(settings: Settings, user: str) -> int | None:
    """Most device memory one prompt of this user may need; None: no limit."""
    own = settings.user(user)
    limits = [settings.admission.max_job_bytes, own.max_bytes if own is not None else None]
    return min((limit for limit in limits if limit is not None), default=None)


def refuse_memory(need_bytes: int, limit_bytes: int | None) -> Refusal | None:
    """An estimate over an admin's limit is refused at once."""
    if limit_bytes is None or need_bytes <= limit_bytes:
        return None
    need, limit = need_bytes / _GIB, limit_bytes / _GIB
    return Refusal(
        400,
        "over_memory_limit",
        f"This prompt needs about {need:.1f} GiB of device memory; {limit:.1f} GiB are allowed",
        "Use a smaller batch or resolution, or ask the admin for a higher limit.",
        {"need_bytes": need_bytes, "limit_bytes": limit_bytes},
    )


def refuse_infeasible(found: Estimate, pool: Pool) -> Refusal | None:
    """What was proven not to fit on any GPU here is refused at once.

    Args:
        found: its estimate; ``infeasible_bytes`` is 0 where nothing is proven.
        pool: the GPUs as last reported; with none reported, nobody knows.
    """
    largest = max((gpu.total_bytes for gpu in pool.gpus.values()), default=0)
    if not largest or largest > found.infeasible_bytes * (1 + _ROUNDING):
        return None
    need = max(found.bytes, found.infeasible_bytes)
    return Refusal(
        400,
        "infeasible",
        f"This prompt does not fit: it needs about {need / _GIB:.1f} GiB of device memory, "
        f"and the largest GPU has {largest / _GIB:.1f} GiB",
        "It ran out of memory there alone, twice. Use a smaller batch or resolution.",
        {"need_bytes": need, "largest_gpu_bytes": largest},
    )


def refuse_late(start_s: float, deadline_s: float) -> Refusal | None:
    """A prompt that would most likely miss its deadline is refused while its client can still act.

    Args:
        start_s: seconds until it starts as likely as not.
        deadline_s: seconds until it must have started.
    """
    if start_s <= deadline_s:
        return None
    return Refusal(
        400,
        "deadline_missed",
        f"This prompt would start in about {start_s:.0f} s; its deadline is in {deadline_s:.0f} s",
        "Send it with a later deadline_s or without one, or with accept_late: true to try all "
        "the same (it fails if it has not started by then).",
        {"start_p50_seconds": round(start_s, 3), "deadline_s": deadline_s},
    )


def refuse_count(queued: int, limit: int) -> Refusal:
    """The user has as many unfinished prompts as are allowed."""
    return Refusal(
        429,
        "queue_full",
        f"You have {queued} unfinished prompts; {limit} are allowed",
        "Wait until one has ended, or delete one from the queue.",
        {"queued": queued, "limit": limit},
    )


def refuse_pool(unfinished: int, limit: int | None) -> Refusal | None:
    """The pool has as many unfinished prompts, of all users together, as are allowed."""
    if limit is None or unfinished < limit:
        return None
    return Refusal(
        429,
        "pool_full",
        f"{unfinished} prompts of all users wait or run; {limit} are allowed",
        "Try again in a while; prompts that are queued already are safe.",
        {"unfinished": unfinished, "limit": limit},
    )


def refuse_prompt_id(prompt_id: str) -> Refusal:
    """The id that the client chose is taken."""
    return Refusal(
        400,
        "invalid_prompt_id",
        "You have used this prompt_id before",
        "Choose another one, or leave prompt_id out to be given one.",
        {"prompt_id": prompt_id},
    )


def refuse_for_now() -> Refusal:
    """The ledger does not answer, so nothing durable can be promised."""
    return Refusal(
        503, "queue_unavailable", "The queue does not answer right now", "Try again shortly."
    )
