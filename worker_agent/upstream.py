"""The body that a worker is posted, made of what the client posted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.states import Job
from worker_agent import loose_json
from worker_agent.inputs import Placed
from worker_agent.tenancy import Names, Schema, renamed_values, to_worker


def upstream(
    body: Mapping[str, Any], job: Job, placed: Placed, schema: Schema
) -> tuple[dict[str, Any], Names]:
    """The prompt in the worker's names, and both sides' names of it.

    Args:
        body: as the ledger kept it.
        job: with attempt filled in.
        placed: where its files lie on the worker.
        schema: what the worker's nodes take.
    """
    graph = to_worker(body["prompt"], job.user, placed.values, schema)
    posted = {
        "prompt": graph,
        "prompt_id": job.attempt_uuid,
        "client_id": job.sid,
        "extra_data": _extra_data(body),
    }
    if body.get("outputs"):
        # what the client was told will run: its own targets, less invalid outputs
        posted["partial_execution_targets"] = body["outputs"]
    return posted, both_names(job, placed.back, renamed_values(body["prompt"], graph))


def both_names(
    job: Job, inputs: Mapping[str, str] | None = None, values: Mapping[str, str] | None = None
) -> Names:
    """Both sides' names of an attempt; of an adopted one its files are no longer known."""
    return Names(
        user=job.user,
        prompt_id=job.prompt_id,
        attempt_uuid=job.attempt_uuid,
        client_id=job.client_id,
        sid=job.sid,
        inputs=inputs or {},
        values=values or {},
    )


def classes(prompt: bytes) -> dict[str, str]:
    """Node id → class of a prompt's nodes."""
    graph = loose_json.decode(prompt).get("prompt")
    if not isinstance(graph, dict):
        return {}
    return {
        node_id: str(node.get("class_type"))
        for node_id, node in graph.items()
        if isinstance(node, dict)
    }


def _extra_data(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the client sent along for the worker: all but what is between it and us."""
    given = body.get("extra_data")
    shown = given if isinstance(given, dict) else {}
    kept = {key: value for key, value in shown.items() if key not in ("vramgate", "client_id")}
    return {**kept, **(body.get("secrets") or {})}
