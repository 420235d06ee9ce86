"""What runs right now, straight from the agents: one WebSocket to each of them.

Frames of users who have a socket here come in and go on to the hub. On the way
the start, the current node, the results and the newest ``progress_state`` of each running
job are kept, so that a client that connects in the middle sees where it stands.

A job's closing frames come another way, through the ledger's stream. So that
nothing is shown after the end, ``ended`` waits for the agent's end mark, and
``close`` drops whatever of that attempt still comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
import msgspec
import structlog

from gateway.hub import Hub
from gateway.standings import Standings
from scheduler.ledger import Pool
from scheduler.live import LiveFrame, LiveHeader, unpack_binary

#: seconds before the first and the last of repeated connection attempts
_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 5.0
#: seconds between pings on an agent's socket; a silent host is noticed after this long
_HEARTBEAT_S: Final = 15.0
#: attempts whose end is remembered, against frames that come late
_ENDS_KEPT: Final = 4096
#: results of one running job that are repeated to who connects in the middle
_MOST_RESULTS: Final = 256
#: parts of the wait for an end mark: a gateway that stood still itself (a busy machine) has
#: used up one of them, not all, and then reads what has come meanwhile
_END_WAITS: Final = 10
#: messages that say how far a node is, not which one runs
_STEPS: Final = frozenset({"progress", "progress_state"})

_log = structlog.get_logger()
_decode_frame = msgspec.json.Decoder(LiveFrame).decode

Attempt = tuple[str, int]


@dataclass(slots=True)
class _Running:
    """Where a running job stands, as its client should see it."""

    user: str
    client_id: str | None
    attempt: int
    agent: str
    start: dict[str, Any] | None = None
    executing: dict[str, Any] | None = None
    #: its nodes' ``executed``; how many is up to its agent's replay and ``_MOST_RESULTS``
    results: list[dict[str, Any]] = field(default_factory=list)
    progress_state: dict[str, Any] | None = None

    def standing(self) -> list[dict[str, Any]]:
        """What a socket that has just come is told of it."""
        first = [one for one in (self.executing, self.start) if one is not None]
        last = [self.progress_state] if self.progress_state is not None else []
        return [*first, *self.results, *last]

    def add_result(self, message: dict[str, Any], *, replay: bool) -> bool:
        """Remember an ``executed``; False: a repetition of what is known."""
        if replay and message in self.results:
            return False
        self.results.append(message)
        del self.results[:-_MOST_RESULTS]
        return True


class AgentSource(Protocol):
    """The part of ``gateway.agents.Agents`` that feeds need."""

    @property
    def pool(self) -> Pool:
        """The pool as last read."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request to an agent carries."""
        ...

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client for agents."""
        ...


class LiveFeeds:
    """Keeps one feed open to each known agent.

    Args:
        hub: where frames go, and who has sockets.
        agents: who they are, and how to reach them.
        standings: is told where running jobs stand, and of whose that is wanted.
    """

    def __init__(self, hub: Hub, agents: AgentSource, standings: Standings) -> None:
        self._hub = hub
        self._standings = standings
        self._agents = agents
        self._feeds: dict[str, _Feed] = {}
        self._running: dict[str, _Running] = {}
        self._ended: OrderedDict[Attempt, None] = OrderedDict()
        #: who waits for an end mark: the agent it must come from, and what to wake
        self._waiting: dict[Attempt, tuple[str, asyncio.Event]] = {}
        hub.on_users_change(self._users_changed)
        standings.on_users_change(self._users_changed)

    async def stop(self) -> None:
        """Close all feeds."""
        await asyncio.gather(*(feed.stop() for feed in self._feeds.values()))
        self._feeds.clear()

    def reconcile(self) -> None:
        """Follow the agents that are known now: open what is new or moved, close what is gone."""
        urls = {agent.id: agent.url for agent in self._agents.pool.agents.values()}
        for agent, feed in list(self._feeds.items()):
            if urls.get(agent) != feed.url:
                feed.cancel()
                del self._feeds[agent]
                self.lost(agent)
        for agent, url in urls.items():
            if agent not in self._feeds:
                self._feeds[agent] = _Feed(self, self._agents, agent, url)

    def connected(self, agent: str) -> bool:
        """Whether frames of this agent are coming in."""
        feed = self._feeds.get(agent)
        return feed is not None and feed.connected

    def standing(self, user: str, client_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Messages for a socket that has just come: where its running jobs stand.

        ``executing`` first, as ComfyUI does. ``execution_start`` too: newer frontends offer
        to cancel only what they have seen start, and a page that was loaded anew has not. And
        results: a socket may have been nobody's when they were told.
        """
        found = []
        for job, running in self._running.items():
            if running.user != user or running.client_id not in (None, client_id):
                continue
            found += [(job, message) for message in running.standing()]
        return found

    async def ended(self, agent: str, job: str, attempt: int, timeout_s: float) -> None:
        """Wait until all live frames of the attempt have been seen, at most ``timeout_s``.

        Returns at once where they cannot come: the agent's feed is down.
        """
        key = (job, attempt)
        if key in self._ended or not self.connected(agent):
            return
        _, seen = self._waiting.setdefault(key, (agent, asyncio.Event()))
        try:
            if not await _comes(seen, timeout_s):
                _log.info("live_end_missed", job=job, attempt=attempt, agent=agent)
        finally:
            self._waiting.pop(key, None)

    def close(self, job: str, attempt: int) -> None:
        """Nothing more of this attempt is to be shown."""
        self._mark_ended((job, attempt))
        self._standings.close(job, attempt)
        running = self._running.get(job)
        if running is not None and running.attempt <= attempt:
            del self._running[job]

    # ── for _Feed ────────────────────────────────────────────────────────────

    def wanted(self, agent: str) -> dict[str, list[str]]:
        """Whose frames an agent is now asked for, all or only where their jobs stand.

        Where jobs of others stand is forgotten, as nothing more is heard of it. Not
        sooner: who comes back before the agent is told would get nothing repeated.
        """
        users = self._hub.users
        for job, running in list(self._running.items()):
            if running.agent == agent and running.user not in users:
                del self._running[job]
        return {"subscribe": sorted(users), "glance": sorted(self._standings.users - users)}

    def lost(self, agent: str) -> None:
        """The agent's feed is down: what it said is stale, and nobody waits for it."""
        self._standings.lost(agent)
        for job, running in list(self._running.items()):
            if running.agent == agent:
                del self._running[job]
        for waited_for, seen in self._waiting.values():
            if waited_for == agent:
                seen.set()

    def take_text(self, agent: str, body: str) -> None:
        """One text frame of an agent."""
        try:
            frame = _decode_frame(body)
        except msgspec.DecodeError as error:
            _log.warning("live_frame_unreadable", agent=agent, error=str(error))
            return
        if self._is_late(frame.job, frame.attempt):
            return
        self._standings.take(agent, frame)
        if frame.message is not None and self._is_news(agent, frame, frame.message):
            self._hub.send(frame.user, frame.client_id, frame.message, frame.job)
        if frame.end:
            # where it stands is forgotten once its end is shown: who comes before that is
            # still told of it
            self._mark_ended((frame.job, frame.attempt))

    def take_binary(self, agent: str, body: bytes) -> None:
        """One binary frame of an agent."""
        try:
            header: LiveHeader
            header, payload = unpack_binary(body)
        except ValueError as error:
            _log.warning("live_frame_unreadable", agent=agent, error=str(error))
            return
        if not self._is_late(header.job, header.attempt):
            self._hub.send_binary(header, payload)

    # ── inside ───────────────────────────────────────────────────────────────

    def _is_late(self, job: str, attempt: int) -> bool:
        """A frame of an attempt that has ended, or of one before the current one."""
        running = self._running.get(job)
        if running is not None and attempt < running.attempt:
            return True
        return (job, attempt) in self._ended

    def _is_news(self, agent: str, frame: LiveFrame, message: dict[str, Any]) -> bool:
        """Remember where the job stands; False: known, or soon repeated by the agent."""
        type_ = message.get("type")
        running = self._running.get(frame.job)
        if running is None or running.attempt != frame.attempt:
            if type_ in _STEPS and not frame.replay:
                # on its way when its user's last socket left. Who comes back is told first
                # which node runs: the agent repeats that, and then the newest step
                return False
            running = _Running(frame.user, frame.client_id, frame.attempt, agent)
            self._running[frame.job] = running
        if type_ == "executed":
            return running.add_result(message, replay=frame.replay)
        if type_ == "execution_start":
            known, running.start = running.start, message
        elif type_ == "executing":
            known, running.executing = running.executing, message
        elif type_ == "progress_state":
            known, running.progress_state = running.progress_state, message
        else:
            return True
        return not (frame.replay and known == message)

    def _mark_ended(self, key: Attempt) -> None:
        self._ended[key] = None
        while len(self._ended) > _ENDS_KEPT:
            self._ended.popitem(last=False)
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting[1].set()

    def _users_changed(self) -> None:
        for feed in self._feeds.values():
            feed.resubscribe()


async def _comes(seen: asyncio.Event, timeout_s: float) -> bool:
    """Wait in parts, see ``_END_WAITS``."""
    for _ in range(_END_WAITS):
        try:
            async with asyncio.timeout(timeout_s / _END_WAITS):
                await seen.wait()
        except TimeoutError:
            continue
        return True
    return seen.is_set()


class _Feed:
    """The connection to one agent, opened again and again until stopped."""

    def __init__(self, feeds: LiveFeeds, agents: AgentSource, agent: str, url: str) -> None:
        self.url = url
        self.connected = False
        self._feeds = feeds
        self._agents = agents
        self._agent = agent
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"live {agent}")

    def resubscribe(self) -> None:
        """The set of users has changed."""
        self._changed.set()

    def cancel(self) -> None:
        """Stop, without waiting for it."""
        self.connected = False
        self._task.cancel()

    async def stop(self) -> None:
        """Stop and wait for it."""
        self.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                if await self._follow():
                    pause_s = _FIRST_RETRY_S
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.info("live_feed_down", agent=self._agent, error=str(error) or "timeout")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LAST_RETRY_S)

    async def _follow(self) -> bool:
        """One connection from open to close; True: it was open at all."""
        async with self._agents.session.ws_connect(
            f"{self.url.rstrip('/')}/v1/live",
            headers=self._agents.headers,
            heartbeat=_HEARTBEAT_S,
            max_msg_size=0,
        ) as socket:
            _log.info("live_feed_up", agent=self._agent)
            subscriber = asyncio.create_task(self._subscribe(socket))
            try:
                await socket.send_json(self._feeds.wanted(self._agent))
                self.connected = True
                await self._read(socket)
            finally:
                self.connected = False
                self._feeds.lost(self._agent)
                subscriber.cancel()
        return True

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._feeds.take_text(self._agent, message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self._feeds.take_binary(self._agent, message.data)

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Tell the agent the whole set of users whenever it has changed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await socket.send_json(self._feeds.wanted(self._agent))
