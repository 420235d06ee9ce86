"""Lets the dashboard try a workflow with the gateway's own code: neither may know the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

    from dashboard.estimate import NoTrial, Trial, Try
    from gateway.context import Services


def trier(services: Services) -> Try:
    """What the dashboard's estimates call."""
    from dashboard.estimate import NoTrial, Trial
    from gateway.admission_door import Refusal
    from gateway.context import identity
    from gateway.trial import try_out
    from scheduler.workflow.validation import Validation

    async def try_(request: web.Request, body: Any) -> Trial | NoTrial:
        found = await try_out(services, identity(request), body)
        if isinstance(found, Refusal):
            return NoTrial(_sentence(found.message, found.details), {})
        if isinstance(found, Validation):
            error = found.error or {}
            message = _sentence(str(error.get("message", "")), str(error.get("details", "")))
            return NoTrial(message, dict(found.node_errors))
        need, refusal = found.need, found.refusal
        return Trial(
            job=found.job,
            floor_bytes=need.estimate.floor_bytes,
            cold=need.estimate.cold,
            runs=need.runs,
            refused=_sentence(refusal.message, refusal.details) if refusal else "",
        )

    return try_


def _sentence(message: str, details: str) -> str:
    return f"{message}: {details}" if details else message
