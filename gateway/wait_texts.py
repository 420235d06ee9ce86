"""Tells frontends why their next prompt waits, as progress text on one of its output nodes.

Only sockets that declared feature flags are told: scripts take any binary frame for an
image. Only users who have jobs queued are looked at, and only the first of them. What
stands on a node is replaced when the job starts and when it ends; neither frontend
removes a text because it is empty.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from gateway import wait_words
from gateway.comfy_api.stored import decode_body
from gateway.hub import ClientSocket, Hub
from scheduler.ledger import Event, EventKind, LedgerUnavailable, SubmitSide
from scheduler.live import LiveHeader
from scheduler.states import Job, JobState, WaitReason

#: seconds between looks; what starts sooner needs no words
_EVERY_S: Final = 2.0
#: a user's jobs that are looked at: the first of each of some tabs
_FIRST: Final = 10
#: prompts whose nodes are remembered
_NODES_KEPT: Final = 512
_TEXT: Final = 3

_log = structlog.get_logger()
_node_ids = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_output_ids = msgspec.json.Decoder(list[str]).decode

Client = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Nodes:
    """A prompt's nodes, and the one that its texts stand on; "" for none."""

    ids: frozenset[str]
    output: str


@dataclass(slots=True)
class _Told:
    """What stands on a client's node."""

    job: Job
    node: str
    text: str = ""
    #: the reason that was told last
    reason: WaitReason | None = None
    #: server time at which it was admitted, 0 while it waits
    started_ms: int = 0


class WaitTexts:
    """The texts of this gateway's clients.

    Args:
        hub: who is here, and the way out.
        ledger: where jobs and prompts are read.
        clock: seconds since the epoch.
        on_reason: called with a job that waits for another reason than before.
    """

    def __init__(
        self,
        hub: Hub,
        ledger: SubmitSide,
        clock: Callable[[], float],
        on_reason: Callable[[Job], None],
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._clock = clock
        self._on_reason = on_reason
        #: users who may have jobs queued
        self._waiting: set[str] = set()
        self._told: dict[Client, _Told] = {}
        self._nodes: OrderedDict[str, _Nodes] = OrderedDict()
        #: jobs that left the queue since the current look began
        self._left: set[str] = set()
        hub.on_declare(self._has_come)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.look()
            except LedgerUnavailable:
                _log.debug("wait_texts_unknown")  # the follower of events says so already

    async def look(self) -> None:
        """Tell each client here that waits where its next prompt stands, if that has changed."""
        self._left.clear()  # here, not where users are looked at: often there are none
        here = self._hub.declared
        self._waiting &= {user for user, _ in here}
        self._told = {client: told for client, told in self._told.items() if client in here}
        for user in sorted(self._waiting):
            # before it is read: what is queued meanwhile puts the user back
            self._waiting.discard(user)
            try:
                waits = await self._look_at(user, here)
            except LedgerUnavailable:
                self._waiting.add(user)
                raise
            if waits:
                self._waiting.add(user)

    def heard(self, event: Event) -> None:
        """One event of a user who is here; an end before its closing frames are sent."""
        if event.kind in (EventKind.SUBMITTED, EventKind.REQUEUED, EventKind.UNHELD):
            self._waiting.add(event.user)
        elif event.kind in (EventKind.ADMITTED, EventKind.HELD, EventKind.SETTLED):
            self._left.add(event.job)
        if event.client_id is None:
            return
        client = (event.user, event.client_id)
        told = self._told.get(client)
        if told is None or told.job.id != event.job:
            return
        match event.kind:
            case EventKind.ADMITTED:
                told.started_ms = event.at_ms
                self._say(client, told, wait_words.started(_waited_s(told)))
            case EventKind.HELD:
                self._say(client, self._told.pop(client), "held: it waits until you let it go on")
            case EventKind.SETTLED:
                self._say(client, self._told.pop(client), _last_words(event, told))

    def _has_come(self, socket: ClientSocket) -> None:
        """A page that was loaded anew shows nothing yet."""
        self._waiting.add(socket.user)
        told = self._told.get((socket.user, socket.client_id))
        if told is not None:
            told.text = ""

    async def _look_at(self, user: str, here: frozenset[Client]) -> bool:
        """One user's clients; False: no job of the user waits."""
        jobs = await self._ledger.unfinished(user, first=_FIRST)
        queued = [job for job in jobs if job.state is JobState.QUEUED]
        active = [job for job in jobs if job.state is not JobState.QUEUED]
        firsts = _first_of_each(user, queued, here)
        nodes = await self._read_nodes([*(job for job, _ in firsts.values()), *active])
        for client, (job, place) in firsts.items():
            node = nodes[job.id].output
            running = [one.id for one in active if one.client_id == client[1]]
            told = self._told.get(client)
            taken = told is not None and told.job.id in running
            taken = taken or any(node in nodes[one].ids for one in running)
            if node and not taken and job.id not in self._left:
                self._tell(client, job, place, node)
        return bool(queued)

    def _tell(self, client: Client, job: Job, place: int, node: str) -> None:
        told = self._told.get(client)
        if told is None or told.job.id != job.id:
            told = self._told[client] = _Told(job, node)
        told.job = job
        if job.wait_reason not in (None, told.reason):
            told.reason = job.wait_reason
            self._on_reason(job)
        text = wait_words.waiting(job, place, int(self._clock() * 1000))
        if text != told.text:
            self._say(client, told, text)

    def _say(self, client: Client, told: _Told, text: str) -> None:
        told.text = text
        header = LiveHeader(
            user=client[0],
            job=told.job.id,
            attempt=0,
            event=_TEXT,
            prompt_id=told.job.prompt_id,
            client_id=client[1],
            node=told.node,
        )
        self._hub.send_binary(header, text.encode(), only_declared=True)

    async def _read_nodes(self, jobs: Iterable[Job]) -> dict[str, _Nodes]:
        wanted = list(dict.fromkeys(job.id for job in jobs))
        unknown = [id_ for id_ in wanted if id_ not in self._nodes]
        for id_, body in zip(unknown, await self._ledger.prompts(unknown), strict=True):
            self._nodes[id_] = _nodes(body)
        found = {id_: self._nodes[id_] for id_ in wanted}
        while len(self._nodes) > _NODES_KEPT:
            self._nodes.popitem(last=False)
        return found


def _first_of_each(
    user: str, queued: Sequence[Job], here: frozenset[Client]
) -> dict[Client, tuple[Job, int]]:
    """Of each client that is here its first job, with its place among all of the user's."""
    found: dict[Client, tuple[Job, int]] = {}
    for place, job in enumerate(queued, 1):
        if job.client_id is not None and (user, job.client_id) in here:
            found.setdefault((user, job.client_id), (job, place))
    return found


def _nodes(body: bytes | None) -> _Nodes:
    if body is None:  # trimmed since it was listed
        return _Nodes(frozenset(), "")
    stored = decode_body(body)
    outputs = _output_ids(stored.outputs)
    return _Nodes(frozenset(_node_ids(stored.prompt)), outputs[0] if outputs else "")


def _waited_s(told: _Told) -> float:
    return max(0, told.started_ms - told.job.submitted_ms) / 1000


def _last_words(event: Event, told: _Told) -> str:
    if event.state is JobState.CANCELLED:
        return "cancelled"
    if event.state is JobState.FAILED or not told.started_ms:
        return "failed"
    return wait_words.ended(_waited_s(told), max(0, event.at_ms - told.started_ms) / 1000)
