"""A worker's own word on values that the rules refuse: what a node pack allows, only its code knows.

A class may judge some of its values, or the types that its links bring, itself (``VALIDATE_INPUTS``),
and ComfyUI then leaves out its own checks of them; ``/object_info`` does not tell which. So a prompt
that is refused for a value or a link of a pack's node is tried on a worker with a probe before its
client is told, and only such a prompt.
Of the answer only the nodes count that the worker would refuse: its words name files of everybody's.
A value that leads to such files is not tried: a pack takes whatever lies on its disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
import structlog
from aiohttp import hdrs
from yarl import URL

from gateway.agents import Agents
from gateway.names import split_annotation
from gateway.object_info import is_of_a_pack
from gateway.sight import Sight
from scheduler.bookkeeping import ROOT
from scheduler.workflow.validation import Validation

log = structlog.get_logger()

#: reasons that ComfyUI does not look for where a class judges for itself
_ITS_OWN: Final = frozenset(
    {
        "value_not_in_list",
        "value_smaller_than_min",
        "value_bigger_than_max",
        "return_type_mismatch",
    }
)
#: what packs take away around a path
_AROUND: Final = " \t\r\n'\""
_DRIVE: Final = re.compile("[A-Za-z]:")
#: a client waits for this answer
_PATIENCE: Final = aiohttp.ClientTimeout(total=2.0)


class _Judged(msgspec.Struct, frozen=True):
    refused: list[str]


def doubtful(checked: Validation, object_info: Mapping[str, Any]) -> frozenset[str]:
    """Nodes of packs that were refused for values or types, and for nothing else."""
    return frozenset(
        node_id
        for node_id, node in checked.node_errors.items()
        if is_of_a_pack(object_info.get(node["class_type"]))
        and all(_may_be_good(reason) for reason in node["errors"])
    )


def _may_be_good(reason: Mapping[str, Any]) -> bool:
    if reason["type"] not in _ITS_OWN:
        return False
    value = reason["extra_info"].get("received_value")
    values = value if isinstance(value, list) else [value]
    return not any(isinstance(one, str) and leads_to_files(one) for one in values)


def leads_to_files(value: str) -> bool:
    """Whether a value names a file that is not everybody's to read on a worker.

    What is the user's own was found before (``gateway.comfy_api.inputs``); this is what else
    lies in users' folders, among outputs, or beside all of these.
    """
    name, annotated = split_annotation(value.strip(_AROUND))
    # packs may take quotes and blanks away, Windows dots and blanks at a name's end
    parts = [part.strip(_AROUND + ".").lower() for part in name.replace("\\", "/").split("/")]
    if annotated not in (None, "input") or _DRIVE.match(name) is not None:
        return True
    # an empty part is a slash in front, one too many, or a way up
    return parts == [""] or "" in parts[:-1] or ROOT in parts


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
