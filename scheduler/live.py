"""What travels between an agent and the gateways: routes, and frames while a job runs.

The agent serves one endpoint, guarded by the cluster token
(``Authorization: Bearer <token>``; 401 without it)::

    GET  /v1/live                          WebSocket, one per gateway (below)
    GET  /v1/workers/{worker}/comfy/{path} allow-listed GET of the worker, query kept, body streamed
    GET  /v1/workers/{worker}/file         ?type=&subfolder=&filename= in the *worker's* names;
                                           + preview, channel as ComfyUI's /view; Range, ETag, HEAD
    DELETE /v1/workers/{worker}/file       the same query; 204, 404 gone already, 403 out of its reach
    GET  /v1/workers/{worker}/place        ?type=&subfolder=&filename= as above: ``FilePlace``; 404:
                                           no such file; null: the worker's folders are out of sight
    *    /v1/workers/{worker}/pack/{path}  a route of a node pack, any method; never ComfyUI's own
    GET  /v1/workers/{worker}/log          ?tail=LINES; text without people's; 404: not started here
    GET  /v1/workers/{worker}/capture/{id} a probe's preview of what a node gave, JPEG; 404: gone
    GET  /v1/health                        {"agent": id, "version": …, "protocol": n}

A request that names another ``X-Vramgate-Protocol`` than the agent's is answered 412.

A gateway serves one route to agents, guarded alike::

    GET  /cluster/v1/inputs/{sha256}       bytes of an uploaded input file

On ``/v1/live`` the gateway sends text ``{"subscribe": [user, …]}`` (the whole
set, replacing the last), with ``"glance": [user, …]`` for those of whom it only wants to know
which node runs: of them come ``execution_start``, ``executing``, ``progress_state`` and the end,
and nothing binary. The agent sends frames of those users only:

* text: JSON ``LiveFrame``, ``message`` being a ComfyUI message ``{"type", "data"}``
  whose ids and file names are already the user's;
* binary: ``u32 big-endian length`` of a JSON ``LiveHeader``, the header, then
  the payload (image bytes or text) without ComfyUI's own framing.

Everything the agent says of a job goes out in the order the worker said it.
Closing frames (``execution_success|error|interrupted``, ``executing`` null,
``status``) are *not* sent here: they go through the ledger's stream, so that
they survive a gateway. Before an agent settles it sends ``LiveFrame`` with
``end`` set: whoever has seen it has seen everything of that attempt.
On subscribe the agent first repeats where each running job of the new users stands
(``executing``, ``execution_start``, each ``executed`` and the newest ``progress_state``,
``replay`` set), and for some seconds also one that has just ended, up to its ``end``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

#: names what a gateway understands (``scheduler.fleet.PROTOCOL``)
PROTOCOL_HEADER = "X-Vramgate-Protocol"

#: first path segments of a worker that an agent fetches for gateways; everything
#: else a custom node may have registered is out of reach (GET is not harmless)
WORKER_GET_ALLOWED = frozenset(
    {
        "object_info",
        "system_stats",
        "features",
        "extensions",
        "i18n",
        "models",
        "embeddings",
        "view_metadata",
        "workflow_templates",
        "experiment",
        "global_subgraphs",
        "node_replacements",
        "assets",
        "scripts",
        "fonts",
        "cursor",
        "lib",
        "css",
        "templates",
        "docs",
        "index.html",
        "materialdesignicons.min.css",
        "manifest.json",
        "favicon.ico",
    }
)


#: the same below ``api/``: what ComfyUI offers there and nowhere else
_ALLOWED_API = frozenset({"workflow_templates"})
#: below ``api/etn/``: questions to the pack comfyui-tooling-nodes that change nothing and
#: name nobody's pictures
_ALLOWED_ETN = frozenset({"model_info", "languages", "translate"})


def may_get_api(parts: Sequence[str]) -> bool:
    """Whether a worker may be asked for this; the path's segments after ``api``."""
    match parts:
        case [first, _, *_] if first in _ALLOWED_API:
            return True
        case ["etn", second, *_]:
            return second in _ALLOWED_ETN
        case _:
            return False


#: messages that tell where a job stands: what those who only glance are sent
GLANCED = frozenset({"execution_start", "executing", "progress_state"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a running job stands: the node that runs."""

    node: str
    #: of the posted graph; "": not known
    class_type: str = ""
    #: of the node, as ComfyUI says it; 0 of 0: it does not
    value: float = 0.0
    most: float = 0.0
    #: nodes that are over, and in all; 0: not known
    done: int = 0
    nodes: int = 0
    #: ms since the epoch since when this node runs
    since_ms: int = 0


class FilePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where one of a worker's files lies on the agent's host, and which file that is.

    A gateway that finds a file of just this inode, size and time under that path shares the
    disk, and may read it there. Any other file under that name is not the one that was meant.
    """

    path: str
    inode: int
    size_bytes: int
    modified_ns: int


class LiveFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One text frame of ``/v1/live``."""

    user: str
    job: str
    attempt: int
    #: the client_id the job was posted with; None: to all sockets of the user
    client_id: str | None = None
    #: ComfyUI's ``{"type", "data"}``; None when only ``end`` is said
    message: dict[str, Any] | None = None
    #: True: nothing more of this attempt will follow here
    end: bool = False
    #: True: a repetition for somebody who has just subscribed
    replay: bool = False


class LiveHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Head of one binary frame of ``/v1/live``.

    ``event`` is ComfyUI's binary event: 1 image, 3 text, 4 image with metadata; or a node
    pack's own, of which the payload is all that follows its number.
    ``prompt_id`` is the job's as its client knows it.
    ``image_type`` is 1 JPEG or 2 PNG. ``metadata`` is event 4's JSON, ids the
    user's. ``lossless``: a result (SaveImageWebsocket) or a pack's own event, never to be dropped.
    """

    user: str
    job: str
    attempt: int
    event: int
    prompt_id: str = ""
    client_id: str | None = None
    image_type: int = 0
    node: str = ""
    metadata: dict[str, Any] | None = None
    lossless: bool = False


def pack_binary(header: LiveHeader, payload: bytes) -> bytes:
    """Frame a binary message: length of the header, header, payload."""
    head = msgspec.json.encode(header)
    return len(head).to_bytes(4, "big") + head + payload


def unpack_binary(frame: bytes) -> tuple[LiveHeader, memoryview]:
    """Take a binary message apart; the payload is not copied.

    Raises:
        ValueError: the frame is shorter than it says, or its header is no ``LiveHeader``.
    """
    size = int.from_bytes(frame[:4], "big")
    if len(frame) < 4 + size:
        raise ValueError(f"live frame of {len(frame)} bytes names a header of {size}")
    try:
        header = msgspec.json.decode(frame[4 : 4 + size], type=LiveHeader)
    except msgspec.DecodeError as error:
        raise ValueError(f"live frame's header: {error}") from error
    return header, memoryview(frame)[4 + size :]
