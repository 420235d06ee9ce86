"""From the ledger's stream to the clients: closing frames and counts, in ComfyUI's order.

Each gateway reads all transitions and shows those of users who have a socket
here. A settled job is shown as ComfyUI would: what the live feed still brings,
its closing frames, ``status``, then ``executing`` with no node. One user's
events are shown one after the other; users never wait for one another.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from gateway.context import Services
from gateway.frames import executing_nothing, text_frame
from gateway.hub import ClientSocket, Hub
from gateway.live import LiveFeeds
from gateway.log_feed import LogFeed
from gateway.missed_ends import KEPT_S, MissedEnds
from gateway.past import Past, event_ms
from gateway.wait_texts import WaitTexts
from scheduler.closing import failure_data
from scheduler.ledger import Event, EventKind, LedgerUnavailable
from scheduler.states import Job, JobState, WorkerState

#: milliseconds that one read of the stream waits for the first event
_BLOCK_MS: Final = 1000
#: seconds until the pool is read again though no event said so: an agent that
#: came back at another address is no change to a plan
_POOL_MAX_AGE_S: Final = 2.0
#: seconds between attempts while the ledger is away
_RETRY_S: Final = 0.5
#: seconds that closing frames wait for an agent's end mark
_END_WAIT_S: Final = 1.0
#: reads of the stream's last moments at most, when the gateway starts
_LOOKS_BACK: Final = 10
#: settled attempts remembered as shown
_SHOWN_KEPT: Final = 4096

_log = structlog.get_logger()

OverridesChanged = Callable[[], Awaitable[None]]
ClientHeard = Callable[[str], Awaitable[None]]


class EventFollower:
    """The task that follows the stream.

    Args:
        services: the gateway's services.
        live: the agents' feeds.
        texts: what waiting clients are told.
        missed: where ends go that nobody here hears.
        log: what those hear who asked for a log.
        on_overrides: called when an admin has changed overrides.
        on_client: called when a prompt was queued that names its client.
    """

    def __init__(
        self,
        services: Services,
        live: LiveFeeds,
        texts: WaitTexts,
        missed: MissedEnds,
        log: LogFeed,
        on_overrides: OverridesChanged | None = None,
        on_client: ClientHeard | None = None,
    ) -> None:
        self._ledger = services.ledger
        self._hub = services.hub
        self._services = services
        self._live = live
        self._texts = texts
        self._missed = missed
        self._log = log
        self._on_overrides = on_overrides
        self._on_client = on_client
        self._lanes: dict[str, deque[Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool_read_at = 0.0
        self._present: frozenset[tuple[str, WorkerState]] = frozenset()
        #: settled attempts that were shown, oldest first
        self._shown: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._past = Past()

    async def past_is_shown(self, user: str) -> None:
        """Wait until what has ended by now was shown to the user's sockets here.

        Where this is the only gateway, nobody can have heard of it elsewhere.

        Raises:
            LedgerUnavailable: nobody knows what has ended.
        """
        if self._missed.concern(user):
            # another gateway may have come, and told them, since the pool was read
            await self._services.agents.refresh()
        if not self.alone():
            await self._past.shown(user, await self._ledger.last_event_id())

    async def run(self) -> None:
        """Follow until cancelled; goes on where it was after the ledger was away."""
        try:
            cursor = await self._start()
            self._past.reached(cursor)
            self._hub.followed.set()
            while True:
                cursor = await self._follow(cursor)
        finally:
            for task in self._tasks:
                task.cancel()

    async def _start(self) -> str:
        while True:
            try:
                cursor = await self._ledger.last_event_id()
                await self._look_at_pool()
                await self._look_back(cursor)
            except LedgerUnavailable as error:
                await self._away(error)
            else:
                return cursor

    async def _look_back(self, newest: str) -> None:
        """Ends of the last moments, whose clients may come here from a gateway that has gone."""
        now_ms = event_ms(newest)
        cursor = f"{max(0, now_ms - int(KEPT_S * 1000))}-0"
        for _ in range(_LOOKS_BACK):
            events = await self._ledger.events(cursor, 0)
            for event in events:
                ago_s = (now_ms - event_ms(event.id)) / 1000
                # what is newer will be followed
                if event.kind is EventKind.SETTLED and ago_s >= 0:
                    self._live.close(event.job, event.attempt)
                    self._missed.keep(event, certain=False, ago_s=ago_s)
            if not events or event_ms(events[-1].id) >= now_ms:
                return
            cursor = events[-1].id

    async def _follow(self, cursor: str) -> str:
        """Read once; the cursor to go on from."""
        try:
            events = await self._ledger.events(cursor, _BLOCK_MS)
            for event in events:
                await self._take(event)
                cursor = event.id
            self._past.reached(cursor)
            if self._services.clock() - self._pool_read_at > _POOL_MAX_AGE_S:
                await self._look_at_pool()
        except LedgerUnavailable as error:
            await self._away(error)
        return cursor

    async def _away(self, error: LedgerUnavailable) -> None:
        _log.warning("ledger_away", retry_s=_RETRY_S, error=str(error))
        await asyncio.sleep(_RETRY_S)

    async def _take(self, event: Event) -> None:
        """Do what an event asks of the gateway itself, or put it into its user's lane."""
        if event.kind is EventKind.SUBMITTED and event.client_id and self._on_client is not None:
            await self._on_client(event.client_id)
        if event.kind is EventKind.CAPACITY:
            await self._look_at_pool()
        elif event.kind is EventKind.OVERRIDES:
            if self._on_overrides is not None:
                await self._on_overrides()
        elif event.user in self._hub.users:
            self._enqueue(event)
        elif event.kind is EventKind.SETTLED:
            self._live.close(event.job, event.attempt)
            if not self._was_shown(event):
                self._miss(event)
        elif event.kind is EventKind.REQUEUED:
            self._live.close(event.job, event.attempt)

    def _miss(self, event: Event) -> None:
        self._missed.keep(event, certain=self.alone())

    def alone(self) -> bool:
        """Whether no other gateway was there when the pool was read last."""
        return len(self._services.agents.pool.gateways) < 2

    async def _look_at_pool(self) -> None:
        """Who is there now: feeds follow agents, definitions follow workers."""
        self._pool_read_at = self._services.clock()
        await self._services.agents.refresh()
        workers = self._services.agents.pool.workers.values()
        present = frozenset((worker.id, worker.state) for worker in workers)
        if present != self._present:
            self._present = present
            self._services.info.note_change()
        self._live.reconcile()

    def _enqueue(self, event: Event) -> None:
        lane = self._lanes.get(event.user)
        if lane is not None:
            lane.append(event)
            return
        lane = self._lanes[event.user] = deque([event])
        self._past.showing(event.user, event.id)
        task = asyncio.create_task(self._drain(event.user, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, user: str, lane: deque[Event]) -> None:
        """Show one user's events in order; ends when there are none left."""
        try:
            # whoever posted the prompt gets its answer, which came from the ledger together with
            # the event, before a hundred open sockets hear of it
            await asyncio.sleep(0)
            while lane:
                self._past.showing(user, lane[0].id)
                event = lane.popleft()
                await self._show(event)
                await self._log.tell(event)
        finally:
            del self._lanes[user]
            self._past.all_shown(user)

    async def _show(self, event: Event) -> None:
        if event.kind is EventKind.SETTLED:
            await self._settled(event)
            return
        self._texts.heard(event)
        if event.kind is EventKind.REQUEUED:
            self._live.close(event.job, event.attempt)
            self._hub.requeued(event.user, event.client_id, event.job)
        # also where the count stays: browsers look at the queue again on each status
        self._hub.status(event.user, event.remaining)

    async def _settled(self, event: Event) -> None:
        if self._was_shown(event):
            self._hub.status(event.user, event.remaining)
            return
        messages = last_messages(event)
        if messages:
            self._hub.ending(event.user, event.client_id, event.job)
        if event.state is not JobState.CANCELLED or event.frames != b"[]":
            worker = self._services.agents.pool.workers.get(event.worker)
            agent = worker.agent if worker is not None else ""
            await self._live.ended(agent, event.job, event.attempt, _END_WAIT_S)
            self._live.close(event.job, event.attempt)
        self._texts.heard(event)
        if event.client_id is not None and not self._hub.hears(event.user, event.client_id):
            self._miss(event)
        self._hub.show_risen(event.user)
        for message in messages[:-1]:
            self._hub.send(event.user, event.client_id, message, event.job)
        if messages:
            self._hub.status_now(event.user, event.remaining)
            self._hub.send(event.user, event.client_id, messages[-1], event.job)
        else:
            self._hub.status(event.user, event.remaining)
        if event.remaining == 0:
            # a prompt that a server lost never ends: nobody is to wait for that
            self._hub.at_rest(event.user)

    def _was_shown(self, event: Event) -> bool:
        """Whether its client has seen this end: a restarted server that lost it is told again."""
        key = (event.job, event.attempt)
        if key in self._shown:
            return True
        self._shown[key] = None
        if len(self._shown) > _SHOWN_KEPT:
            self._shown.popitem(last=False)
        return False


def last_messages(event: Event) -> list[dict[str, Any]]:
    """All that the client of a settled job is owed, but for the count before the last one."""
    if event.state is not JobState.CANCELLED or event.frames != b"[]":
        return [*closing_messages(event), executing_nothing(event.prompt_id)]
    # cancelled before it ran: ComfyUI says nothing; but an earlier attempt may have been
    # shown, and was never said to be over
    return [executing_nothing(event.prompt_id)] if event.begun else []


def closing_messages(event: Event) -> list[dict[str, Any]]:
    """A settled job's own closing messages; a failure always has its ``execution_error``."""
    messages: list[dict[str, Any]] = []
    try:
        for type_, data in msgspec.json.decode(event.frames, type=list[tuple[str, dict[str, Any]]]):
            # these two have their place behind all others, and are made here
            if type_ not in ("status", "executing"):
                messages.append({"type": type_, "data": data})
    except msgspec.DecodeError as error:
        _log.error("closing_frames_unreadable", job=event.job, error=str(error))
    if event.state is JobState.FAILED and not any(
        message["type"] == "execution_error" for message in messages
    ):
        data = failure_data(event.prompt_id, event.reason)
        messages.append({"type": "execution_error", "data": data})
    for message in messages:
        # the ledger's own closing words carry no time: the event's is the server's
        message["data"].setdefault("timestamp", event.at_ms)
    return messages


@dataclass(frozen=True, slots=True)
class Following:
    """The running follower and feeds; made by ``start``."""

    _services: Services
    _live: LiveFeeds
    _tasks: frozenset[asyncio.Task[None]]

    async def stop(self) -> None:
        """Close the clients' sockets and the feeds, and end the follower."""
        self._services.hub.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._live.stop()


async def start(
    services: Services,
    on_overrides: OverridesChanged | None = None,
    on_client: ClientHeard | None = None,
) -> Following:
    """Begin to follow the ledger and the agents; call when the app starts."""
    missed = MissedEnds(services.clock)
    live = LiveFeeds(services.hub, services.agents, services.standings)
    log = LogFeed(services.hub, services.ledger, services.agents)

    def explain(job: Job) -> None:
        log.explain(job, int(services.clock() * 1000))

    texts = WaitTexts(services.hub, services.ledger, services.clock, explain)
    follower = EventFollower(services, live, texts, missed, log, on_overrides, on_client)
    services.hub.past_is_shown = follower.past_is_shown
    # what has ended is told before what runs
    _tell_missed(services.hub, missed, follower.alone)
    services.hub.on_join(live.standing)
    tasks = {
        asyncio.create_task(follower.run(), name="events"),
        asyncio.create_task(texts.run(), name="texts of waiting prompts"),
    }
    for task in tasks:
        task.add_done_callback(tell_if_dead)
    return Following(services, live, frozenset(tasks))


def _tell_missed(hub: Hub, missed: MissedEnds, alone: Callable[[], bool]) -> None:
    def owed(user: str, client_id: str, *, only_certain: bool = True) -> list[Any]:
        if only_certain and not alone():
            return []  # kept, for when it declares that it compares ids
        events = missed.take(user, client_id, only_certain=only_certain)
        return [(event.job, message) for event in events for message in last_messages(event)]

    def declared(socket: ClientSocket) -> None:
        for job, message in owed(socket.user, socket.client_id, only_certain=False):
            socket.outbox.put(text_frame(message, job))

    hub.on_join(owed)
    hub.on_declare(declared)


def tell_if_dead(task: asyncio.Task[None]) -> None:
    """A task that should outlive all requests has failed; that must not pass in silence."""
    if not task.cancelled() and task.exception() is not None:
        _log.critical("task_died", task=task.get_name(), exc_info=task.exception())
