"""A graph tried, not queued: what ``POST /prompt`` would book it with, and nothing is written."""

from __future__ import annotations

from typing import Any

from gateway.admission_door import Refusal
from gateway.comfy_api.booking import Booking, book
from gateway.comfy_api.posted import understand
from gateway.comfy_api.prompt import TOO_DEEP
from gateway.context import Identity, Services
from scheduler.workflow.validation import Validation


async def try_out(found: Services, who: Identity, body: Any) -> Booking | Validation | Refusal:
    """Book a graph as if it were posted.

    Args:
        found: the gateway's services.
        who: whose files, limits and share count.
        body: the decoded JSON, as for ``POST /prompt``.

    Returns:
        The booking, what is wrong with the graph, or what is wrong with the body.

    Raises:
        LedgerUnavailable: what was learned cannot be read.
    """
    posted = understand(body, {})
    if isinstance(posted, Refusal):
        return posted
    try:
        return await book(found, who, posted)
    except RecursionError:
        return TOO_DEEP
