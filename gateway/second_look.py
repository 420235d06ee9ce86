"""A worker's own word on values that the rules refuse: what a node pack allows, only its code knows.

A class may judge some of its values itself (``VALIDATE_INPUTS``), and ComfyUI then leaves out its
own checks of them; ``/object_info`` does not tell which. So a prompt that is refused for a value of a
pack's node is tried on a worker with a probe before its client is told, and only such a prompt.
Of the answer only the nodes count that the worker would refuse: its words name files of everybody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
import structlog
from aiohttp import hdrs
from yarl import URL

from gateway.agents import Agents
from gateway.sight import Sight
from scheduler.workflow.validation import Validation

log = structlog.get_logger()

#: reasons that ComfyUI does not look for where a class judges its values itself
_OF_VALUES: Final = frozenset(
    {"value_not_in_list", "value_smaller_than_min", "value_bigger_than_max"}
)
#: a client waits for this answer
_PATIENCE: Final = aiohttp.ClientTimeout(total=2.0)


class _Judged(msgspec.Struct, frozen=True):
    refused: list[str]


def doubtful(checked: Validation, object_info: Mapping[str, Any]) -> frozenset[str]:
    """Nodes of packs that were refused for a value, and for nothing else."""
    return frozenset(
        node_id
        for node_id, node in checked.node_errors.items()
        if _is_of_a_pack(object_info.get(node["class_type"]))
        and all(reason["type"] in _OF_VALUES for reason in node["errors"])
    )


async def allowed(
    agents: Agents, sight: Sight, prompt: Mapping[str, Any], nodes: frozenset[str]
) -> frozenset[str]:
    """Those of the nodes that a worker takes after all; none where nobody can tell."""
    ready = await agents.ready()
    for worker in ready:
        agent = agents.pool.agents.get(worker.agent)
        if agent is None or not worker.has_probe or not sight.includes(worker, agents.pool):
            continue
        base = agent.url.rstrip("/")
        url = URL(f"{base}/v1/workers/{quote(worker.id, safe='')}/validate", encoded=True)
        refused = await _refused(agents, url, prompt)
        if refused is not None:
            return nodes - refused
    return frozenset()


async def _refused(agents: Agents, url: URL, prompt: Mapping[str, Any]) -> frozenset[str] | None:
    try:
        async with agents.session.post(
            url,
            data=msgspec.json.encode({"prompt": prompt}),
            headers={**agents.headers, hdrs.ACCEPT_ENCODING: "identity"},
            timeout=_PATIENCE,
            allow_redirects=False,
        ) as answer:
            if answer.status != 200:
                return None
            return frozenset(msgspec.json.decode(await answer.read(), type=_Judged).refused)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        log.info("dry_run_failed", error=type(error).__name__)
        return None


def _is_of_a_pack(definition: Any) -> bool:
    module = definition.get("python_module") if isinstance(definition, dict) else None
    return isinstance(module, str) and module.startswith("custom_nodes.")
